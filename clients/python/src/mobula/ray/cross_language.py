"""Ray's ``ray.cross_language``: Java and C++, which Mobula does not run. Go functions are called by name: mobula.function."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["cpp_function", "java_actor_class", "java_function"]


def _refuse(language: str) -> NoReturn:
    raise NotImplementedError(f"Mobula runs Python and Go, and no {language}")


def java_function(class_name: str, function_name: str) -> NoReturn:
    """Raises NotImplementedError: there are no Java workers."""
    _refuse("Java")


def java_actor_class(class_name: str) -> NoReturn:
    """Raises NotImplementedError: there are no Java workers."""
    _refuse("Java")


def cpp_function(function_name: str) -> NoReturn:
    """Raises NotImplementedError: there are no C++ workers."""
    _refuse("C++")
