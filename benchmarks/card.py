"""`python -m benchmarks.card` writes the shipped model's card from its record and its figures."""

import json
from pathlib import Path

from igc.evaluate import table

FOLDER = Path("igc/checkpoints/synthetic-64")

CARD = """# synthetic-64

The inverse graphics capsule network that is shipped with `igc`, trained on the embedded drawn faces.

- **Data**: {data}, {images} drawn faces, unlabelled. No photograph, no person.
- **Command**: `make weights`: `python -m igc.train --data synthetic --images {images} --epochs {epochs}`,
  at commit {commit}; checkpoint format {format}.
- **Seed** {seed}; **time** {minutes:.0f} minutes; **machine** {machine}, device {device}; torch {torch}.
- **Settings**: `config.json` and `record.json` beside this card.

## Figures

On {test}; regressions fitted on as many validation faces. How each is computed stands on the book's page on
conventions.

```
{table}
```

## Limits

It has seen drawn heads with plain backgrounds, yaw within 45 degrees. On photographs it finds a head and
its parts only roughly. It must not be used to identify anyone.
"""


def main() -> None:
    record, figures = (json.loads((FOLDER / f"{name}.json").read_text()) for name in ("record", "figures"))
    text = CARD.format(
        data=record["data"], images=record["images"], epochs=record["train"]["epochs"],
        seed=record["train"]["seed"], minutes=record["seconds"] / 60, machine=record["machine"],
        device=record["device"], torch=record["versions"]["torch"], test=figures["data"],
        table=table(figures["figures"]), commit=record["commit"],
        format=json.loads((FOLDER / "config.json").read_text())["format"],
    )  # fmt: skip
    (FOLDER / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
