"""The interface of :mod:`multiprocessing`'s pool, on a whole cluster."""

from multiprocessing import JoinableQueue

from mobula.util.multiprocessing.pool import AsyncResult, IMapIterator, Pool, TimeoutError

__all__ = ["AsyncResult", "IMapIterator", "JoinableQueue", "Pool", "TimeoutError"]
