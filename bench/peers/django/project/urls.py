# SPDX-License-Identifier: BSD-3-Clause
"""The REST side, as Django REST framework's own tutorial would write it."""
from django.urls import include, path
from rest_framework import routers, serializers, viewsets

from .models import Schedule


class ScheduleSerializer(serializers.HyperlinkedModelSerializer):
    class Meta:
        model = Schedule
        exclude = ("timing",)


class ScheduleViewSet(viewsets.ModelViewSet):
    queryset = Schedule.objects.order_by("-created_at")
    serializer_class = ScheduleSerializer


router = routers.DefaultRouter()
router.register("schedule", ScheduleViewSet)
urlpatterns = [path("api/v1/", include(router.urls))]
