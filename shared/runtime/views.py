"""What services show of their rows over HTTP: chosen, and described in OpenAPI field by field."""

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """An answer made of a row or of values; what it does not name is not shown."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True, frozen=True)
