from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile

from examples.django_validator import recognizer, validate_photo
from tests.examples.load import uploads_of


def test_64_clients_validate_photos(tiny_bundle):
    settings.configure(RECOGNIZER_BUNDLE=str(tiny_bundle), RECOGNIZER_PROCESSES=2, USE_I18N=False)
    field = forms.FileField(validators=[validate_photo], allow_empty_file=True)

    def send(body: bytes) -> str:
        try:
            field.clean(SimpleUploadedFile("photo", body))
        except ValidationError as error:
            return ",".join(str(one.code) for one in error.error_list)
        return "valid"

    answers = uploads_of(send)
    recognizer().close()
    assert {*answers} == {
        ("red", "lead"),
        ("green", "valid"),
        *((name, "unreadable") for name in ("empty", "text", "truncated", "garbage", "bomb")),
    }
