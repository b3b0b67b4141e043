"""An API server for the tests whose pods come and go."""

from tests.pods.conftest import small, small_cluster

__all__ = ["small", "small_cluster"]
