# SPDX-License-Identifier: BSD-3-Clause
"""A small Django project with the design of the service whose API we serve: schedules in the database, beat, workers."""
from .celery import app as celery_app

__all__ = ("celery_app",)
