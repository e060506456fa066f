"""Makes ``formats.md``: what data sets may be like, from the tables that the readers go by."""

from __future__ import annotations

from typing import Any

from markdown_lines import Lines, code, table


def formats() -> Lines:
    """Yield what data sets may be like, from the tables that the readers go by."""
    from afinador.data import schema_checks, shapes
    from afinador.data.files import archives, compressed, json_documents, json_values, lines, mapping, table_rows
    from afinador.data.files.formats import COMPRESSIONS, FORMATS
    from afinador.data.tokens.encoding import MOST_CHARACTERS

    yield from ("# Data sets", "", "## Formats", "")
    yield "The name's extension and the first bytes say the format; a JSON array is read as JSON, and JSON Lines as JSON"
    yield "Lines, whichever of the two names they carry. A CSV that is named as JSON, or JSON as CSV, is refused with a word on"
    yield "what it looks like, unless its format is declared. Every reader streams: memory does not grow with the file."
    yield ""
    rows = [
        (row.title, " ".join(map(code, row.extensions)), row.holds, "yes" if row.is_written else "no")
        for row in FORMATS.values()
    ]
    yield from table(("format", "names", "what is read", "written too"), rows)
    packed = " and ".join(f"{what} ({code(extension)})" for extension, what in COMPRESSIONS.items())
    texts = ", ".join(row.title for row in FORMATS.values() if row.is_text)
    yield f"{texts} may be compressed with {packed}, also where they are written: the name says it (`made.csv.zst`)."
    yield "The same records give the same bytes then, and what would unpack to more than is read again is refused. They are UTF-8 with or without a byte"
    yield "order mark, UTF-16 with one, or in the encoding that is declared. In a CSV all values are text, so records with numbers, true or false, or null"
    yield "are refused when one is written, by record and field: JSON Lines holds them, or a step `transform` makes them text."
    yield from ("", "| limit | |", "|---|---|")
    yield f"| one line, one value of a JSON document | {lines.LONGEST_LINE_BYTES >> 20} MiB, {json_documents.LONGEST_VALUE_CHARACTERS >> 20} Mi characters; {json_values.DEEPEST} levels deep |"
    yield f"| Parquet and Arrow | a process of their own with {table_rows.MEMORY_BYTES >> 30} GiB of memory; {table_rows.LONGEST_RECORD_BYTES >> 20} MiB a record |"
    yield f"| what is compressed, an archive, a batch of rows | unpacks to {compressed.MAX_UNPACKED_BYTES >> 30} GiB at most, and to {compressed.MAX_RATIO} times its size (below {compressed.BYTES_WITHOUT_RATIO >> 20} MiB any) |"
    yield f"| what a loader gives | {compressed.MAX_UNPACKED_BYTES >> 30} GiB, as JSON; it is cut off then |"
    yield f"| files of a folder or an archive | {archives.MOST_FILES}; no devices, no names that lead out of it; of links those to files in a folder |"
    yield f"| templates of a mapping | make {mapping.MOST_CHARACTERS >> 20} Mi characters of a record at most, and {compressed.MAX_RATIO} times as many as a file has (below {compressed.BYTES_WITHOUT_RATIO >> 20} Mi any) |"
    yield f"| one record, with a tokenizer | {MOST_CHARACTERS:,} characters |"
    yield f"| metadata held against a schema | {schema_checks.SECONDS_PER_RECORD:g} s of a processor a record and {schema_checks.SECONDS_PER_FILE:g} s a file, for each process that judges it, and {10**6 / schema_checks.BYTES_PER_SECOND:g} s for each MB of metadata and schemas; {schema_checks.MEMORY_BYTES >> 30} GiB of memory |"
    yield from ("", "## Shapes", "", *_shapes(shapes), *_faults(), *_reading())


def _shapes(shapes: Any) -> Lines:
    from afinador.data import metadata_schema

    yield "What the fields of a record are called; the shape is found by itself, or declared. `( )`: may be left out."
    yield ""
    rows = []
    for name, shape in shapes.SHAPES.items():
        fields = [*map(code, shape.fields), *(f"({code(field)})" for field in shape.optional)]
        example = f"[{code(name)}](../{shape.example_file})"
        rows.append((example, ", ".join(fields), shape.description, ", ".join(map(code, shape.tasks)) or "stored only"))
    yield from table(("shape, with an example", "fields", "what is learnt", "tasks"), rows)
    yield "A `schema` that has `$schema`, or the type object and `properties`, is a JSON Schema, which `metadata` have to fit: the"
    yield f"first {metadata_schema.MOST_COMPLAINTS} faults of each record are told, each by its field (`metadata.year`, `metadata.authors.0.name`). Any other one is"
    yield "a template, which they need not fit. Its draft is the one that `$schema` names, 3 to 2020-12, or 2020-12; of an"
    yield "unknown one a warning says that nothing was held against it. `format` is not checked, and references that lead out of"
    yield "the schema are not followed, which is an error. So is what took longer than its time: the verdict names the records"
    yield "that were not held against their schemas. Previews leave out records that do not fit, and the step `convert` refuses"
    yield "them."
    yield ""
    yield "Metadata are learnt as they were written. Fields that a template or the `properties` of a JSON Schema do not have are a"
    yield "warning, `unasked_fields`: where documents are asked for by schema, the model learns to add them unasked. They are"
    yield "neither left out nor refused, for a misspelt name in a template would take good metadata away without a trace, and a"
    yield "JSON Schema allows them by its silence; with `additionalProperties: false` they are an error. Of the"
    yield "`extraction_schema` of a job its report tells the same, and so do reports and previews that are given one with a base model."
    yield ""


def _faults() -> Lines:
    from afinador.data.checks import characters, contents, findings
    from afinador.data.shapes import table as shapes_table

    yield from ("## What a report tells", "")
    yield 'All faults of each record, by line and field, also of one that has several: `{"prompt": 1, "completion": ""}` is told of'
    yield "both. What only follows from a fault is none of its own: a record with none of the fields of its file is one fault, and"
    yield "a reply is not held against calls that could not be read. Codes are counted by faults (`counts`), of which one record"
    yield f"may have {shapes_table.MOST_FAULTS:,} that count; the first {findings.PROBLEMS_KEPT_PER_CODE} of each code are told. How many records cannot be used is"
    yield "`unusable_records`. The texts of these are searched for control and misread characters, personal data and secrets as all"
    yield f"others are, of each the first {contents.VALUES_SEARCHED:,} values. Training and preparation stop at the first fault."
    yield ""
    yield "Doubts are told of each field: each kind of personal data and secrets in it, that it was misread, and each strange"
    yield f"character where it stands first, at most {characters.CHARACTERS_TOLD} different ones; of a record each call without a reply, and each type of"
    yield f"its tools that there is none of. Of one record count {shapes_table.MOST_FAULTS:,} about characters, as many about each kind of personal data and secrets, and about tools."
    yield ""


def _reading() -> Lines:
    import inspect

    from afinador.schemas.datasets import DatasetReading
    from api.openapi_description import split_docstring

    yield from ("## Declaring how to read a file", "")
    yield "What name and content do not say is declared: with options of `afinador create file` and `afinador validate"
    yield "dataset`, with fields of the upload (the `openai` client sends them by `extra_body`), or with `reading` in Python."
    yield "It stays with the file: a job that names the file, or a local one of the same name and bytes, reads it so. A job file of"
    yield "`afinador train` has it as `reading`."
    yield ""
    yield "What is declared holds for the validation file too, unless something else is declared of that: at its own upload, or"
    yield "with `--validation-split NAME` and `--validation-reading KEY=VALUE` (`validation_reading` in requests, job files and"
    yield "Python), field by field; an empty value, or null, takes a field back. With a `split` or `config` of its own, and no"
    yield "validation file, that part of the training data is held out: two splits of one folder, or of one data set of the Hub."
    yield "A job that reads a file otherwise than its upload declares judges it when it runs, for the verdict is about the other."
    yield ""
    _, meanings = split_docstring(inspect.getdoc(DatasetReading) or "")
    yield from table(("field", "meaning"), [(code(name), meanings[name]) for name in DatasetReading.model_fields])
    yield from ("```sh", 'afinador create file bank.csv --mapping \'{"text": "text", "label": "category"}\'')
    yield "afinador create file old.csv --encoding windows-1252 --delimiter ';'"
    yield from ("afinador validate dataset notes.tar.gz --split train --validation-split test", "```", "")
    yield from ("## The Hugging Face Hub", "")
    yield "`hf://owner/name[:config][@revision]` stands wherever a data set is named: in jobs, saved specs, and `afinador create"
    yield "file`. The service fetches it once, with `HF_TOKEN` for private ones, and keeps it as a file of the organization that"
    yield "names the commit; jobs that name it again take what is there, also without the Hub. `afinador create file hf://…` asks"
    yield "the Hub for a newer commit. Only data files are fetched; scripts are never run."
    yield ""
    yield "`afinador validate`, `preview` and `prepare dataset hf://…` have it fetched and kept by the service, too; of what cannot be"
    yield "fetched nothing is left. `afinador train` has no service and fetches nothing: name a folder that `hf download --repo-type"
    yield "dataset` has made."
    yield from ("", "## Custom loaders", "")
    yield "A function `read(path)` that yields dictionaries, in a module that the operator names below `loaders` in"
    yield "`AFINADOR_CONFIG` and installs where the service runs: `--loader acme.readers:read`. It runs with the rights of the"
    yield "service, so only the operator's modules are ever taken. Everybody may declare a `mapping`."
