"""A Django site of one form, for the test of the validator; its argument is the port."""

import os
import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    RECOGNIZER_BUNDLE=os.environ["BUNDLE"],
    RECOGNIZER_PROCESSES=2,
    DEBUG_PROPAGATE_EXCEPTIONS=True,
)
django.setup()

from django import forms  # noqa: E402 - after the settings

from examples.django_validator import validate_photo  # noqa: E402


class PhotoForm(forms.Form):
    photo = forms.FileField(validators=[validate_photo], allow_empty_file=True)


def upload(request: HttpRequest) -> JsonResponse:
    form = PhotoForm({}, {"photo": SimpleUploadedFile("photo", request.body)})
    codes = [error.code for error in form.errors.as_data().get("photo", [])]
    return JsonResponse({"codes": codes})


urlpatterns = [path("photos", upload)]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    application = get_wsgi_application()
    make_server("127.0.0.1", int(sys.argv[1]), application, Server, Quiet).serve_forever()
