from millrace.adapters.log_memory import MemoryLog
from millrace.ports.log import Log, LogReader
from tests.contracts.log import PARTITIONS, LogContract


class TestMemoryLog(LogContract):
    def make_log(self) -> Log:
        return MemoryLog(partitions=PARTITIONS)

    def make_reader(self, log: Log) -> LogReader:
        assert isinstance(log, MemoryLog)
        return log
