"""The model card: intended use, metrics, training data and limitations of a bundle.

After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Mapping

from components.config import Params
from components.latex.vocabulary import SPECIALS
from components.model.checkpoint import Checkpoint

_DATA = {
    "synthetic": "Formulas of a grammar, written by this project's synthesizer with single-line fonts "
    "(Hershey, public domain). No person's handwriting; no licence.",
    "mathwriting": "MathWriting (Google, 2024), handwriting of many people. CC BY-NC-SA 4.0: not for "
    "commercial use.",
    "mathwriting-excerpt": "The excerpt of MathWriting (Google, 2024). CC BY-NC-SA 4.0: not for commercial "
    "use.",
    "crohme": "CROHME (IAPR TC-11), handwriting of many people. CC BY-NC-SA 3.0: not for commercial use.",
    "pictures": "Pictures of the user's own; their licence is not known here.",
    "folder": "InkML files of the user's own; their licence is not known here.",
}

_SYMBOLS = {
    "mathwriting": "MathWriting (CC BY-NC-SA 4.0)",
    "omniglot": "Omniglot (MIT)",
    "hasy": "HASYv2, thinned to strokes (ODbL)",
    "own": "the user's own",
}


def _sources(params: Params) -> str:
    """What a training with these parameters learns from, each source with its licence."""
    lines = [_DATA[name] for name in (params.data.source, *params.data.also)]
    made = params.synthesize
    if made.count:
        symbols = [
            "the training inks",
            *(text for name, text in _SYMBOLS.items() if getattr(made.symbols, name)),
        ]
        symbols += ["Hershey's fonts (public domain)"] if made.symbols.fonts else []
        symbols += ["symbols derived from these"] if made.symbols.derived else []
        lines.append(f"Synthetic formulas written with symbols of: {', '.join(symbols)}.")
        if made.formulas.lists:
            lines.append(f"Formulas of text lists: {made.formulas.credit}.")
    if params.train.init_from:
        lines.append(
            f"It began with the weights of `{params.train.init_from}`, and so with what these learnt from."
        )
    return "\n".join(f"- {line}" for line in lines)


def card(checkpoint: Checkpoint, params: Params, metrics: Mapping[str, object], version: str) -> str:
    """Render the card as Markdown. `metrics` are those of reports/metrics.json, as fractions."""
    model = checkpoint.model
    size = sum(parameter.numel() for parameter in model.parameters())
    raster = checkpoint.raster
    encoder = "a Swin of its own size" if model.params.encoder == "custom" else model.params.encoder
    tokens = " ".join(f"`{token}`" for token in checkpoint.vocabulary.tokens[len(SPECIALS) :])
    return f"""# Handwritten mathematics to LaTeX, bundle {version}

Reads one handwritten formula, from a picture or from pen strokes, and says it in LaTeX, with the probability
that all of it is right, calibrated on the validation split (see the reliability diagram of `evaluate`).

- **Model**: {encoder}, then a Transformer decoder of {model.params.decoder_layers} layers; {
        size:,} parameters.
- **Input**: dark ink on white, median height of a symbol {raster.symbol} pixels, at most {raster.max_width} ×
  {raster.max_height} pixels; sides padded to multiples of {
        model.multiple
    }. `components.recognizer.preprocessing`
  brings photographs, scans and drawings there.
- **Output**: at most {model.params.max_tokens} tokens, in MathWriting's conventions for LaTeX.

## Training data

{_sources(params)}

## Metrics on its test split

| inks | exact | at most 1 error | at most 2 errors | CER |
|---|---|---|---|---|
| {metrics["n"]} | {_percent(metrics, "exprate")} | {_percent(metrics, "exprate_le1")} | {
        _percent(metrics, "exprate_le2")
    } | {_percent(metrics, "cer")} |

Errors are token edits. Writing unlike the training's is read worse than these figures say.

## Limitations

- A symbol that is not among its {len(checkpoint.vocabulary) - len(SPECIALS)} tokens is read as another one.
- Several lines, prose, crossed-out writing, ruled paper and several formulas on one picture are not learnt.
- Symbols that look alike alone (`x` and `\\times`, `1` and `l`, `0` and `o`) are guessed from context.

## Tokens

{tokens}
"""


def _percent(metrics: Mapping[str, object], name: str) -> str:
    value = metrics[name]
    if not isinstance(value, int | float):
        raise ValueError(f"metrics: {name}: {value!r} is not a number")
    return f"{value:.1%}"
