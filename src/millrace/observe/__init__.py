"""What a process says about itself: metrics and logs. Every metric name lives in `metrics`."""

from millrace.observe.logs import set_up_logging
from millrace.observe.metrics import Metrics

__all__ = ["Metrics", "set_up_logging"]
