"""The rules of the house under their former name; they live in tests/house."""

from tests.house.test_docs import *  # noqa: F403
from tests.house.test_errors import *  # noqa: F403
from tests.house.test_imports import *  # noqa: F403
from tests.house.test_measured import *  # noqa: F403
from tests.house.test_storage_keys import *  # noqa: F403
from tests.house.test_tenancy import *  # noqa: F403
from tests.house.test_tree import *  # noqa: F403
from tests.house.test_wheel import *  # noqa: F403
