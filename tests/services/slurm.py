"""A cluster of one node: a real slurmctld and slurmd, without systemd, munge and a database."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.started import find, free_port, running, wait_for

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=3
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=3 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""`cred_expire` is also how long a requeued job is held back: 120 s, or what is set, 5 at least."""


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Within the block SLURM's commands reach a cluster of this machine."""
    hint = "Debian's slurm-wlm"
    ctld, slurmd, *_ = find("slurmctld", "slurmd", "sbatch", "srun", hint=hint).values()
    if os.getuid():
        pytest.skip("needs root: slurmd starts jobs for users")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host, config = socket.gethostname().partition(".")[0], folder / "slurm.conf"
    ports = {"ctld": free_port(), "slurmd": free_port()}
    config.write_text(CONFIG.format(host=host, user="root", folder=folder, **ports))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(config))
        with (
            running([ctld, "-D"], folder / "slurmctld.log"),
            running([slurmd, "-D", "-N", host], folder / "slurmd.log"),
        ):
            wait_for(lambda: "idle" in queue("sinfo", "--noheader"), "SLURM", folder / "slurmd.log")
            try:
                yield
            finally:  # jobs are no children of slurmd, and would go on without it
                subprocess.run(["scancel", "--partition=main"], timeout=60, check=False)
                wait_for(lambda: not queue("squeue", "--noheader"), "the end of all jobs")


def queue(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
