"""All routes, one module a noun. To add one: a module with `ROUTES`, and its name here."""

from millrace.serve.routes import aggregates, devices, exports, live, points, previews, system
from millrace.serve.routes.route import Route

ALL: tuple[Route, ...] = (
    *system.ROUTES,
    *devices.ROUTES,
    *points.ROUTES,
    *aggregates.ROUTES,
    *exports.ROUTES,
    *previews.ROUTES,
    *live.ROUTES,
)

__all__ = ["ALL", "Route"]
