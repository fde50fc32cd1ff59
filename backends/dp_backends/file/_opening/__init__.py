"""
`StoreDirectory`: the directory of a store, found, checked, made, and looked at again.

============= =====================================================
``_finding``  whether it is a store, and of a format that we read
``_owners``   nobody else may change it
``_making``   all of it, durable; what is missing is made again
``_presence`` the look before every operation
``_markers``  which promises have a deadline in which hour
``_checking`` how it is with the directory, for `dp doctor`
============= =====================================================
"""

from dp_backends.file._opening._checking import check_store
from dp_backends.file._opening._presence import StoreDirectory

__all__ = ["StoreDirectory", "check_store"]
