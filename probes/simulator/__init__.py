"""A Canvas that behaves as documented, for demonstrations, rehearsals and tests: an ASGI application with faults to switch on.

Reading order: app, front, throttle, stamps, application, services; asks, paging, replies, routes_*; people, school, documents, enrollments,
imports; faults, edge, damage, broken; control, world; settings, profiles, settings_file; server, connections, network.
"""
