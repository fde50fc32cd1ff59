"""The version, read by the build and by ``dp_core.__version__``."""

__version__ = "1.0.0"
