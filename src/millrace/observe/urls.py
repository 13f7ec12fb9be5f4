"""URLs as people may see them: without what must stay secret.

Every URL that is printed, logged or put into an error passes through `shown`. It looks at text, not
at a parsed URL, because what is wrong with a URL is often the password in it.
"""

import re
from typing import Final

MASK: Final = "********"

# A password may hold every character, even when none of them is escaped as it should be.
_USER_INFO = re.compile(r"(^(?![^:/?#]*://)|://)([^:@/?#\s]*):(.*)@", re.DOTALL)
_QUERY = re.compile(r"([?&](?:password|sslpassword|token|secret)=)[^&#]*", re.IGNORECASE)


def shown(url: str) -> str:
    """Return a URL with its password, and the secrets of its query, masked."""
    without_password = _USER_INFO.sub(rf"\1\2:{MASK}@", url)
    return _QUERY.sub(rf"\1{MASK}", without_password)
