"""
The backends that come with the library, one module for each URL scheme.

They enter by the same door as anybody's (entry points of the group
``dp_core``) and use only public names of `dp_core`.
"""
