"""Registry rows of the vectors as device profiles; some are rows that the registry refuses."""

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.codecs.f2.topics import device_id_of
from millrace.model.device import (
    Attached,
    DataPoint,
    DeviceProfile,
    Parameter,
    TemplateVersion,
    unknown,
)

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def profile_of(rows: Rows, device_id: str) -> DeviceProfile:
    controller = next(
        (row for row in rows["devices"] if _is(row.get("mac_address"), device_id)), None
    )
    parameters = tuple(
        _parameter(row)
        for row in rows["device_parameters"]
        if device_id_of(row["device_id"]) == device_id
    )
    if controller is None and not parameters:
        return unknown(device_id, "f2")
    return DeviceProfile(
        device_id,
        "f2",
        time_zone=controller.get("time_zone") if controller else None,
        pins=_pins(rows, controller["device_id"]) if controller else {},
        parameters=parameters,
    )


def _is(mac: str | None, device_id: str) -> bool:
    return mac is not None and device_id_of(mac) == device_id


def _pins(rows: Rows, controller: int) -> dict[tuple[int, int], Attached]:
    numbers = {
        row["connector_id"]: row["connector_number"]
        for row in rows["connectors"]
        if row["controller_id"] == controller
    }
    return {
        (numbers[pin["connector_id"]], pin["position"]): _attached(rows, pin["device_id"])
        for pin in rows["pins"]
        if pin["connector_id"] in numbers
    }


def _attached(rows: Rows, number: int) -> Attached:
    template = next(
        row["device_template_id"] for row in rows["devices"] if row["device_id"] == number
    )
    crc = next(
        row.get("crc", "none")
        for row in rows["device_templates"]
        if row["device_template_id"] == template
    )
    points = tuple(
        _point(row) for row in rows["data_points"] if row["device_template_id"] == template
    )
    return Attached(f"dev-{number}", (TemplateVersion(template, points, crc),))


def _point(row: Mapping[str, Any]) -> DataPoint:
    return DataPoint(
        id=row["data_point_id"],
        label=row["label"],
        encoding=row["data_encoding"],
        offset=row["offset"],
        length=row["length"] or 0,
        byte_order=row.get("byte_order", "big"),
        decimals=row["decimals"],
        data_format=row["data_format"],
        prepend=row["prepend"],
        append=row["append"],
        whole_number=row["whole_number"],
    )


def _parameter(row: Mapping[str, Any]) -> Parameter:
    return Parameter(
        id=row["id"],
        mode=row["connector_mode"],
        component_type=row["component_type"],
        component_id=row["component_id"],
        encoding_type=row["encoding_type"],
        units=row["units"],
        scaling_factor=row["scaling_factor"],
    )
