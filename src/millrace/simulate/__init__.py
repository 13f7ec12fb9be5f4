"""Devices that do not exist, over real MQTT: the inverse of `codecs`.

    acts               what a device does: publish, restart, fetch; its agenda; the protocol Device
    stamps             clocks of devices, right and wrong ones
    physics            walks, days, load cycles, tracks
    f2_frames          F2-172, values to RS-485 frames; f2_parts, f2_words, f2: a controller
    meter_commands     MTR-100 to MTR-107 on the device's side; meter: a rail meter
    sensors            SNS-100
    faults             gaps, duplicates, wrong clocks and other misfortunes, on purpose
    plan, schedule     which devices there are; who does what when: pure, no real time
    store_and_forward  what waits while the broker is away
    line, fleet        one connection; all of them in real time
    firmware, health   fetching an update; the answers to an orchestrator

Everything up to `schedule` is a pure function of seed, device, options and simulated time: the
same give the same topics and payloads byte for byte (F2-173). Only `line`, `fleet`, `firmware` and
`health` know sockets and real time.
"""
