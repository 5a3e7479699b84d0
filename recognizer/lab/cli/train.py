"""``recognizer train`` trains a network on labelled photos, ``export`` makes a bundle of it."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from recognizer.cli import options
from recognizer.cli.options import output_option, require_extra
from recognizer.cli.progress import say, show_progress
from recognizer.errors import UsageError
from recognizer.lab.cli.evaluate import LooksOption

if TYPE_CHECKING:
    from recognizer.lab.training.fit import Stage


def train_command(
    data: options.DataOption,
    recipe: Annotated[
        str,
        Argument(metavar="RECIPE", help="A TOML file, or small-cpu or wildlife."),
    ] = "small-cpu",
    output: Annotated[
        Path | None, output_option("The folder of the run.", show_default="runs/ and its name")
    ] = None,
    changes: Annotated[
        list[str] | None,
        Option("--set", metavar="KEY=VALUE", help="Set a key, such as photos=9600; repeatable."),
    ] = None,
) -> None:
    """Train a network, and measure it on folds of sources that are left out in turn.

    The same command again resumes training where it was stopped.
    """
    require_extra("lab")
    with show_progress():
        from recognizer.lab.dataset.manifest import load_data
        from recognizer.lab.training.config import load_config
        from recognizer.lab.training.runs import open_recipe, train_recipe

        gc.freeze()  # what is imported stays: to look through it, also at the end, takes seconds
        config = load_config(recipe, changes or ())
        output = output or Path("runs") / config.name
        opened = open_recipe(config, load_data(data), output)
    is_drawn = config.photos or config.weights == "none"  # whose features are random ones
    if any(c.partition("=")[0].strip() == "seed" for c in changes or ()) and not is_drawn:
        say("The seed changes nothing: the backbone stays as it is, and the head is a regression.")
    has_test = any(p.split == "test" for p in opened.photos)
    with opened.cache:
        folds = opened.fold_count
        say(
            f"{config.name}: {len(opened.train)} photos of {len(opened.labels)} labels, "
            f"{config.backbone} at {config.input_size} pixels, {folds + 1} runs "
            f"({folds} folds left out in turn)"
        )
        if not has_test:
            say("No test photos, which export needs: `recognizer dataset split` holds some out.")
        with show_progress() as report:

            def show(stage: Stage) -> None:
                if stage.done is None:
                    say(stage.words)
                else:
                    report(stage.words, stage.done, stage.of)

            try:
                train_recipe(opened, show)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"Stopped. What is done is in {output}. Run the same command again to resume."
                ) from None
    say(f"Wrote {output}; its figures: recognizer runs {output}")
    if has_test:
        folders = " ".join(f"--data {folder}" for folder in data)
        say(f"Next: recognizer export {output} {folders} --output bundles/{output.name}-v1")


def export_command(
    run: Annotated[Path, Argument(metavar="RUN", help="The folder of a training run.")],
    data: options.DataOption,
    output: options.NewBundleOption,
    notes: Annotated[Path | None, Option(help="Markdown for the card: data and failures.")] = None,
    spdx_license: Annotated[
        str | None,
        Option("--license", metavar="SPDX", help="Such as CC-BY-4.0.", show_default="not stated"),
    ] = None,
    precision: Annotated[
        Literal["fp32", "int8"] | None,
        Option(help="Of the model's file.", show_default="int8 if it was measured to lose little"),
    ] = None,
    looks: LooksOption = None,
) -> None:
    """Export to ONNX, set thresholds, measure on the test split and write the model card."""
    from recognizer.model.folders import check_output

    require_extra("lab")
    check_output(output, is_export=True)
    try:
        text = notes.read_text(encoding="utf-8") if notes else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--notes {notes}: {getattr(error, 'strerror', error)}") from error
    with show_progress(every=0) as stage:
        from recognizer.lab.cli.evaluate import print_figures
        from recognizer.lab.dataset.manifest import load_data
        from recognizer.lab.evaluation.looks import LOOKS_FILE
        from recognizer.lab.training.export import export_bundle
        from recognizer.lab.training.runs import open_recipe

        gc.freeze()  # as above
        stage("reading the data")
        with (recipe := open_recipe(None, load_data(data), run)).cache:
            how: Any = {"spdx_license": spdx_license, "precision": precision}
            how["looks"] = looks or data[0] / LOOKS_FILE
            release = export_bundle(recipe, output, notes=text, on_stage=stage, **how)
    print_figures(release.test)
    print_figures(release.unseen)
    words = "what int8 loses was not measured: a fold has too few photos of each product"
    if release.lost:
        words = f"int8 loses at most {max(release.lost.values()):.4f} average precision"
    say(f"Wrote {release.path}: {release.precision} ({words})")
