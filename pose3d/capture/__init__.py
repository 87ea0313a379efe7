"""Total capture: fields, assembly, lifting of fields, its people and scores."""
