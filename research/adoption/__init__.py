"""Runs that another program logged to MLflow become a record of our store, and a paper.

    experiment ─▶ runs by a filter ─▶ groups × seeds ─▶ numbers, tables, curves, claims ─▶ record

What was logged is frozen as it stood, each run in `logged/RUN.json`; nothing is computed again but
means, intervals and tests. A record of adopted runs holds

    numbers    METRIC_GROUP, over seeds
    claims     as they were asked for
    tables     metrics (groups × metrics), settings (what differs between groups), runs, left_out,
               artifacts (with sha256; of MLflow's logged models too)
    figures    curve_METRIC, and every picture that a run logged

and, in the run's facts under `adopted`, whence it came: source, experiment, filter, rules, the ids
of the runs, and how many were left out and why.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from research import records
from research.adoption import drawings, writeup
from research.adoption.choice import Choice, Cohort, Member, cohort
from research.adoption.claims import claims
from research.adoption.measures import Histories, Measured, histories, measured, names
from research.errors import hidden
from research.records import Cell, Claim, Table
from research.tracking import Opening, Summary
from research.tracking.finding import newest
from research.tracking.folder import FolderStore
from research.tracking.foreign import Artifact
from research.tracking.freezing import frozen
from research.tracking.local import LocalStore
from research.tracking.log import ADOPTED
from research.tracking.record import Record, iso
from research.tracking.remote import RemoteStore

__all__ = ["Adopted", "Choice", "adopt"]

PICTURES = 60
"""Pictures that become figures at most; of the others the table of artifacts tells."""


@dataclass(frozen=True)
class Adopted:
    """What was adopted.

    Attributes:
        fresh: whether a record was written; False where the newest says the same.
        notes: what could not be taken, one line each.
        begun: the beginning of a write-up.
    """

    run: Summary
    fresh: bool
    selection: str
    notes: tuple[str, ...]
    begun: str


def adopt(choice: Choice, store: FolderStore | LocalStore | RemoteStore) -> Adopted:
    """Freezes runs of an experiment into a record of the store.

    Raises:
        UserError: see `cohort`, `measured` and `claims`; nothing is written then.
    """
    used = cohort(choice)
    logged = histories(choice, used)
    values = measured(choice, used, logged)
    tested = claims(choice.claims, values.values, seeded=bool(choice.seeds))
    frozen_as = _Freezing(choice, used, logged, values, tested)
    former = newest(store.runs(choice.slug))
    if former is None or former.config_digest != frozen_as.digest:
        return frozen_as.into(store)
    begun = writeup.start(records.load(former.folder), *frozen_as.named)
    return Adopted(former, False, used.selection, tuple(values.notes), begun)


@dataclass(frozen=True)
class _Freezing:
    """All that is known before the record is begun."""

    choice: Choice
    cohort: Cohort
    logged: Histories
    measured: Measured
    claims: Mapping[str, Claim]

    @property
    def named(self) -> tuple[dict[str, str], dict[str, str]]:
        """Metrics and groups as they were logged -> their names in the record."""
        return names(self.measured.values), names(self.cohort.groups)

    @property
    def digest(self) -> str:
        """Of what was asked for and of all that the runs had logged."""
        asked = asdict(self.choice) | {"experiment": self.choice.experiment.name}
        basis = [asked, self._source, [self._content(member) for member in self.cohort.members]]
        basis.append([(run.id, run.status, why) for run, why in self.cohort.left_out])
        return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()

    @property
    def _source(self) -> str:
        """The address; of a file or folder only its name."""
        kind, _, path = self.choice.experiment.uri.partition("://")
        if kind in ("sqlite", "file") or not path:
            return (path or kind).rstrip("/").rpartition("/")[2]
        return hidden(self.choice.experiment.uri)

    def into(self, store: FolderStore | LocalStore | RemoteStore) -> Adopted:
        """Writes the record; what its files need is asked of MLflow meanwhile."""
        with frozen(store, self._opening()) as record:
            self._describe(record)
            self._write(record)
            notes = self._artifacts(record)
            self._vouch(record)
            begun = writeup.start(records.load(record.folder), *self.named)
            id = record.id
        lines = (*self.measured.notes, *notes)
        return Adopted(store.find(id), True, self.cohort.selection, lines, begun)

    def _opening(self) -> Opening:
        seeds = self.cohort.seeds
        whole = all(re.fullmatch(r"-?\d{1,9}", seed) for seed in seeds)
        name = self.choice.experiment.name
        return Opening(
            study=self.choice.slug,
            question=self.choice.question or writeup.question_of(name),
            preset=ADOPTED,
            name=f"{self.choice.slug}: {len(self.cohort.members)} runs of {name}",
            config=_settings(self.cohort.members),
            config_digest=self.digest,
            seeds=tuple(map(int, seeds)) if whole else tuple(range(len(seeds))),
            device="unknown",
        )

    # --- facts -----------------------------------------------------------------------------------

    def _describe(self, record: Record) -> None:
        members, choice = self.cohort.members, self.choice
        commits = sorted({member.run.commit for member in members})
        record.update(
            commit=commits[0] if len(commits) == 1 and commits[0] else "unknown",
            seconds={"logged": sum(member.run.seconds for member in members)},
            data=_data(
                [asdict(dataset) for m in members for dataset in choice.experiment.inputs(m.run)]
            ),
            adopted={
                "by": "another program",
                "source": self._source,
                "experiment": choice.experiment.name,
                "filter": choice.runs,
                "group": " ".join(choice.group),
                "seeds": choice.seeds,
                "rules": "; ".join(f"{name} {rule}" for name, rule in self.measured.rules.items()),
                "runs": [member.run.id for member in members],
                "groups": list(self.cohort.groups),
                "left_out": len(self.cohort.left_out),
                "selection": self.cohort.selection,
                "commits": [commit for commit in commits if commit],
                "first": iso(min(member.run.started for member in members))[:10],
                "last": iso(max(member.run.ended for member in members))[:10],
            },
        )

    # --- results ---------------------------------------------------------------------------------

    def _write(self, record: Record) -> None:
        metrics, groups = self.named
        for metric, by_group in self.measured.values.items():
            for group, number in by_group.items():
                record.number(f"{metrics[metric]}_{groups[group]}", number)
        for name, claim in self.claims.items():
            record.claim(name, claim)
        for name, table in self._tables().items():
            if table.rows:
                record.table(name, table)
        self._curves(record)
        for member in self.cohort.members:
            path = record.path(f"logged/{member.run.id}.json")
            records.write_json(path, self._content(member))

    def _vouch(self, record: Record) -> None:
        """Says of each thing which runs it comes from, in place of a line of our code."""
        metrics, groups = self.named
        known = records.read_origins(record.folder)
        origins = dict.fromkeys(known, f"runs of the experiment {self.choice.experiment.name}")
        for metric, rule in self.measured.rules.items():
            for group, members in self.cohort.groups.items():
                ids = " ".join(member.run.id[:8] for member in members)
                name = f"number {metrics.get(metric)}_{groups[group]}"
                origins |= {name: f"{metric} {rule}, logged by {ids}"} if name in known else {}
        records.write_origins(record.folder, origins)

    def _content(self, member: Member) -> dict[str, Any]:
        """A run as it was logged, but for who and where."""
        history = self.logged[member.run.id]
        points = {name: [[p.step, p.time, p.value] for p in own] for name, own in history.items()}
        models = [asdict(one) for one in self.choice.experiment.models(member.run)]
        return asdict(member.run) | {
            "group": member.group,
            "seed": member.seed,
            "tags": _impersonal(member.run.tags),
            "metrics": points,
            "models": [one | {"tags": _impersonal(one["tags"])} for one in models],
        }

    def _tables(self) -> dict[str, Table]:
        metrics, _ = self.named
        rows: list[dict[str, Cell]] = []
        for group, members in self.cohort.groups.items():
            values: dict[str, Cell] = {
                metrics[name]: own.get(group) for name, own in self.measured.values.items()
            }
            rows.append({"group": group} | self._keys(members[0]) | {"runs": len(members)} | values)
        return {
            "metrics": Table.of(rows),
            "settings": _differing(self.cohort),
            "runs": Table(("run", "name", "group", "seed", "ended"), tuple(
                (member.run.id, member.run.name, member.group, member.seed, iso(member.run.ended))
                for member in self.cohort.members
            )),
            "left_out": Table(("run", "name", "status", "why"), tuple(
                (run.id, run.name, run.status, why) for run, why in self.cohort.left_out
            )),
        }  # fmt: skip

    def _keys(self, member: Member) -> dict[str, Cell]:
        """A column for each parameter of several that make up a group."""
        if len(member.keys) < 2:
            return {}
        heads = names(key.rpartition(".")[2] for key in self.choice.group)
        return dict(zip(heads.values(), member.keys, strict=True))

    def _curves(self, record: Record) -> None:
        metrics, groups = self.named
        steps: dict[int, dict[str, float]] = {}
        for metric, curves in self.measured.curves.items():
            if not curves:
                continue
            name = f"curve_{metrics[metric]}"
            record.arrays(
                name, **drawings.arrays_of({groups[g]: curve for g, curve in curves.items()})
            )
            drawings.curve(record.folder, name, metric, {groups[group]: group for group in curves})
            for group, (at, values) in curves.items():
                for step, mean in zip(at, values.mean(0), strict=True):
                    steps.setdefault(int(step), {})[f"{groups[group]}/{metrics[metric]}"] = mean
        for step in sorted(steps):
            record.metrics(step, steps[step])

    # --- files -----------------------------------------------------------------------------------

    def _artifacts(self, record: Record) -> list[str]:
        """Copies the runs' pictures and notes the digest of every file."""
        rows: list[tuple[Cell, ...]] = []
        shown: list[tuple[str, str]] = []
        for member in self.cohort.members:
            kept = f"artifacts/{member.run.id}"
            for artifact in self.choice.experiment.artifacts(member.run, record.folder / kept):
                rows.append((member.run.id, member.group, member.seed, *_row(artifact)))
                if (record.folder / kept / artifact.path).is_file():
                    label = f"{Path(artifact.path).stem} {member.group} {member.seed}"
                    shown.append((label, f"{kept}/{artifact.path}"))
        if rows:
            heads = ("run", "group", "seed", "path", "bytes", "sha256")
            record.table("artifacts", Table(heads, tuple(rows)))
        return list(_drawn(record.folder, shown))


_PERSONAL = frozenset({"mlflow.user", "mlflow.source.name", "mlflow.log-model.history"})


def _impersonal(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name not in _PERSONAL}


def _drawn(folder: Path, shown: Sequence[tuple[str, str]]) -> list[str]:
    """Makes figures of pictures; tells of those that are none, or too many."""
    notes = []
    labels = names(f"{label}\0{path}" for label, path in shown[:PICTURES])
    for (label, path), name in zip(shown[:PICTURES], labels.values(), strict=True):
        own = names([label])[label]
        taken = (folder / f"figures/{own}.json").exists()
        try:
            drawings.picture(folder, name if taken else own, path)
        except records.damage.DamagedError:
            notes.append(f"{path} is no picture that can be read; it is kept as a file")
    if len(shown) > PICTURES:
        notes.append(f"of {len(shown)} pictures the first {PICTURES} became figures")
    return notes


def _row(artifact: Artifact) -> tuple[Cell, ...]:
    return artifact.path, artifact.bytes, artifact.sha256 or None


def _settings(members: Sequence[Member]) -> dict[str, Any]:
    """The parameters that are the same in all runs."""
    first = members[0].run.params
    same = {k: v for k, v in first.items() if all(m.run.params.get(k) == v for m in members)}
    return {name: _typed(value) for name, value in same.items()}


def _typed(text: str) -> Any:
    """MLflow keeps all parameters as text."""
    if re.fullmatch(r"-?\d{1,15}", text):
        return int(text)
    if re.fullmatch(r"-?\d*\.?\d+(e[+-]?\d+)?|-?\d+\.", text, re.IGNORECASE):
        return float(text)
    return {"True": True, "False": False}.get(text, text)


def _differing(cohort: Cohort) -> Table:
    """A row for each group and a column for each parameter that tells groups apart."""
    groups = cohort.groups
    keys = {member.keys for member in cohort.members if len(member.keys) == 1}
    params = sorted({name for m in cohort.members for name in m.run.params})
    columns: dict[str, list[Cell]] = {}
    for name in params:
        values = [{m.run.params.get(name) for m in members} for members in groups.values()]
        if all(len(own) == 1 for own in values) and len({next(iter(own)) for own in values}) > 1:
            columns[name] = [next(iter(own)) for own in values]
    # the one that makes the groups heads the rows already
    columns = {name: own for name, own in columns.items() if {(value,) for value in own} != keys}
    heads = names(columns)
    rows = zip(groups, *columns.values(), strict=True) if columns else ()
    return Table(("group", *heads.values()), tuple(rows))


def _data(inputs: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The data sets that the runs say they read."""
    if not inputs:
        return {}
    unique = {(entry["name"], entry["digest"], entry["context"]): entry for entry in inputs}
    listed = [dict(unique[key]) for key in sorted(unique)]
    sources = sorted({entry["source"] for entry in listed if entry["source"]})
    return {
        "name": ", ".join(sorted({entry["name"] for entry in listed})),
        "source": ", ".join(sources),
        "digest": " ".join(sorted({entry["digest"] for entry in listed})),
        "inputs": listed,
    }
