"""Writes the model card of the example base model."""

from pathlib import Path


def write_model_card(folder: Path, settings: dict, figures: dict) -> None:
    print(folder, settings, figures)
