"""Does attention find the words that it translates, and do published perplexities come back?

Source: The Annotated Encoder-Decoder with Attention (Bastings 2018); Bahdanau et al. 2015

The post's encoder-decoder is trained over seeds on its copy task, whose perplexities the post
prints, and to translate: numerals from German to English, of which the right words and their
alignment are known, or a corpus of the reader's.
"""

from research.data import bitext
from research.errors import UserError
from research.models import count_parameters
from research.studies.seq2seq.drawings import FIGURES
from research.studies.seq2seq.measures import (
    log_perplexities,
    measure_alignment,
    measure_copies,
    measure_translations,
    require_letters,
    show_attention,
)
from research.studies.seq2seq.networks import train_copying, train_translation
from research.studies.seq2seq.settings import PRESETS, Config, children
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    check(config)
    with log.part("data"):
        text = bitext.load(config.data).to(config.train.device)
        log.dataset(text.facts())
        require_letters(text)
    with log.part("training"):
        copying = [train_copying(seed, config, log) for seed in config.seeds]
        translating = [train_translation(seed, text, config, log) for seed in config.seeds]
    with log.part("analysis"):
        log.number("parameters_copy", count_parameters(copying[0]))
        log.number("parameters_translation", count_parameters(translating[0]))
        log_perplexities(config, log)
        measure_copies(copying, config, log)
        measure_translations(translating, text, config, log)
        show_attention(translating[0], text, log)
        if text.links is not None:
            measure_alignment(translating, text, text.links, log)


def check(config: Config) -> None:
    """Finds settings with which no network can be made before anything is read."""
    for name in ("embedding", "hidden", "beam", "copy_epochs"):
        if (value := getattr(config, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if not 0 <= config.dropout < 1:
        raise UserError(f"--dropout must be 0 or more and below 1, got {config.dropout:g}")
