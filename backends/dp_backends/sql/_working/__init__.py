"""
The work of a store, done in one thread for all callers.

=========== ================================================================
``_calls``  questions and orders, as rows answer them
``_batch``  calls that came together: two statements and a commit
``_worker`` the thread that takes them, and goes on from batch to batch
=========== ================================================================
"""

from dp_backends.sql._working._calls import (
    Ask,
    Call,
    CreateCall,
    DisposeCall,
    InfoCall,
    LookCall,
    PeekCall,
    RowCall,
    Rows,
    SettleCall,
)
from dp_backends.sql._working._worker import Worker

__all__ = [
    "Ask",
    "Call",
    "CreateCall",
    "DisposeCall",
    "InfoCall",
    "LookCall",
    "PeekCall",
    "RowCall",
    "Rows",
    "SettleCall",
    "Worker",
]
