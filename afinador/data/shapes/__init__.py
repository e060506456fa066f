"""The shapes a record may have, one file each, and the one form, ``Example``, that training takes.

``SHAPES`` is the table of them: fields, meaning, tasks. ``docs/formats.md`` is made from it, and an example of each
lies in ``examples/data/shapes``.
"""

from __future__ import annotations

from afinador.data.shapes.conversion import Converted, converted, convertible_to, require_convertible
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import RecordShape, Shape
from afinador.data.shapes.table import (
    MOST_FAULTS,
    OPTIONAL_FIELDS,
    SHAPES,
    checked_shape,
    commonest_shape,
    examined,
    fault_of_mapping,
    fields_allowed,
    mapping_for,
    near_miss,
    require_trainable,
    shape_of,
    shape_of_columns,
    shapes_of_format,
    to_example,
    with_nulls,
)
from afinador.data.shapes.text_label import label_text

__all__ = [
    "MOST_FAULTS",
    "OPTIONAL_FIELDS",
    "SHAPES",
    "Converted",
    "Example",
    "RecordShape",
    "Shape",
    "checked_shape",
    "commonest_shape",
    "converted",
    "convertible_to",
    "examined",
    "fault_of_mapping",
    "fields_allowed",
    "label_text",
    "mapping_for",
    "near_miss",
    "require_convertible",
    "require_trainable",
    "shape_of",
    "shape_of_columns",
    "shapes_of_format",
    "to_example",
    "with_nulls",
]
