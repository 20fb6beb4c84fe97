"""What the wizard asks about migrations from the product of 2014, which are not offered."""


def check_migration() -> bool:
    """No migration is under way, so clients ask for nothing else of it."""
    return False


def get_migration_status() -> str:
    """There is nothing to migrate."""
    return "ready"
