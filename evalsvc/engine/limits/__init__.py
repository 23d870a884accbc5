"""What one endpoint can take, shared by all jobs of the process.

Two things hold a request back: the number in flight (`concurrency`), and what the provider allows a minute
(`budget`, told by config and headers; `learnt_rate`, found out from 429s where nobody tells). Those that have to wait
are served job by job in turn (`line`). `endpoint` puts them together.
"""

from evalsvc.engine.limits.admission import Admission
from evalsvc.engine.limits.endpoint import EndpointLimits, Result

__all__ = ["Admission", "EndpointLimits", "Result"]
