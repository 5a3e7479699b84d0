"""The policy that decides in a scan's file, which keeps it for later scans and reviews."""

import tomllib

from recognizer.errors import PolicyError, UsageError
from recognizer.policy.toml import parse_policy, policy_toml
from recognizer.policy.values import EXAMPLES, Policy
from recognizer.rows.scanfile import ScanFile
from recognizer.taxonomy import Taxonomy, load_taxonomy

_SETTING = "policy"  # the digest of the policy that decided last


def use_policy(file: ScanFile, policy: Policy) -> None:
    """Make a policy the one that decides in a file."""
    values = (policy.name, policy.digest, policy_toml(policy))
    with file.transaction() as database:
        database.execute(
            "INSERT INTO policy (name, digest, toml) VALUES (?, ?, ?)"
            " ON CONFLICT (name, digest) DO UPDATE SET toml = excluded.toml",
            values,
        )
        file.set_setting(_SETTING, policy.digest)


def policy_of(file: ScanFile, taxonomy: Taxonomy | None = None) -> Policy | None:
    """Return the policy that decides in a file, or None if nothing was decided yet.

    A file of 0.3 keeps no policy: its own is found among those of this package, or is a UsageError.
    ``taxonomy`` is that of the bundle.
    """
    has_text = file.version > 1
    used = file.select(
        f"SELECT name, digest, {'toml' if has_text else 'NULL'} FROM policy"
        " WHERE digest = (SELECT value FROM setting WHERE name = ?)"
        " OR (NOT EXISTS (SELECT 1 FROM setting WHERE name = ?)"
        " AND id IN (SELECT DISTINCT policy FROM image))",
        (_SETTING, _SETTING),
    )
    for _, digest, text in used:
        if text is not None:
            try:
                return parse_policy(tomllib.loads(text), "policy", taxonomy or load_taxonomy())
            except (tomllib.TOMLDecodeError, PolicyError) as error:
                raise file.damaged(error) from error
        for known in map(Policy.load, EXAMPLES):
            if known.digest == digest:
                return known
    if not used:
        return None
    raise UsageError(
        f"{file.path} was decided by the policy {used[0][0]!r}, of which it keeps no copy: name "
        "it with --policy, or --policy default"
    )
