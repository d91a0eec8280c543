"""Objects of a store as such, in a folder or under an `s3://` address: for copying, listing and deleting them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timbre_data.schemas.errors import BuildError, TimbreDataError


def object_store(address: str, *, create: bool = False) -> Any:
    """An `obstore` store of everything under an address. Region, endpoint and credentials come from the environment
    (`AWS_*`), as for Icechunk. `create` makes a local folder.
    """
    from obstore.store import LocalStore, S3Store

    if not address.startswith("s3://"):
        return LocalStore(Path(address).absolute(), automatic_cleanup=True, mkdir=create)
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {"checksum_algorithm": "SHA256"}  # which the server compares on arrival
    if endpoint:
        options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    return S3Store(
        bucket,
        prefix=prefix.rstrip("/") or None,
        config=options,  # type: ignore[arg-type]  # a mapping of S3's settings
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http:"))},
        retry_config={"max_retries": 3},
    )


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """Turn what object storage refuses into one line of ours."""
    import obstore

    try:
        yield
    except (TimbreDataError, FileNotFoundError):
        raise
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        text = " ".join(str(error).split("Debug source:")[0].split())[:200]
        hint = (
            ": check the bucket's name, the region (AWS_REGION), the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and, for another service than Amazon's, AWS_ENDPOINT_URL"
            if address.startswith("s3://")
            else ""
        )
        raise BuildError(f"{address} cannot be reached ({text}){hint}.") from None


def sizes(store: Any) -> dict[str, int]:
    """The path and size in bytes of every object of a store."""
    import obstore

    return {entry["path"]: int(entry["size"]) for chunk in obstore.list(store) for entry in chunk}
