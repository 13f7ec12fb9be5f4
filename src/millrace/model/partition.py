"""Which log partition a device belongs to: the murmur2 hash that Kafka's own producers use.

Source: D-11; org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c.
"""

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Return the 32-bit murmur2 hash as an unsigned number."""
    size = len(key)
    value = (0x9747B28C ^ size) & _MASK
    tail = size & ~3
    for at in range(0, tail, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        value = (value * _M & _MASK) ^ k
    if size & 3:
        value = (value ^ int.from_bytes(key[tail:], "little")) * _M & _MASK
    value = (value ^ (value >> 13)) * _M & _MASK
    return value ^ (value >> 15)


def partition_of(device_id: str, partitions: int) -> int:
    """Return the partition of a device among `partitions`, as Kafka's default partitioner does."""
    return (murmur2(device_id.encode()) & 0x7FFFFFFF) % partitions
