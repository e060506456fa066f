"""The words on the wire: pydantic only, one file per noun. OpenAI's shapes, with the specification's names beside."""
