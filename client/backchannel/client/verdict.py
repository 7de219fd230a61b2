"""What a verb says when all was saved and not all was sent, or when what is shown may be old."""

from backchannel.client.errors import ClientError, RateLimited, RelayError


def queued(problem: ClientError, safe: str) -> ClientError:
    """The same problem, with the same exit code, that says what is safe and what comes next."""
    problem.message = f"{problem.message} {safe}"
    if isinstance(problem, RelayError):
        problem.next_step = "backchannel sync"
    elif isinstance(problem, RateLimited):
        problem.next_step = f"in {problem.retry_after} s: backchannel sync"
    return problem


def stale(problem: ClientError) -> ClientError:
    """The same problem, where what was fetched before has been shown."""
    problem.message = f"{problem.message} What is shown was fetched before."
    return problem
