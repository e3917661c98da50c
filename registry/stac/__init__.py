"""STAC: items come in from other catalogues and go out with every version."""
