"""
A Django app without async: one view waits for a person, another one asks the person.

    SECRET_KEY=... gunicorn django_view:application --bind 127.0.0.1:8000 --threads 8
"""

import os
from datetime import timedelta

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

import dp_core.sync as dp

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["SECRET_KEY"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
promises = dp.connect()  # DP_URL, else file:./promises; all threads share it
PAGE = """<!doctype html><form method="post">{{ info.terms.data }}: {{ info.state }}
{% csrf_token %}<button name="yes">Yes</button><button name="no">No</button></form>"""


@csrf_exempt  # programs ask, and no browser
@require_http_methods(["PUT"])
def ask(request: HttpRequest, id: str) -> HttpResponse:
    late, days = dp.Rejected("nobody answered"), timedelta(days=3)
    what, wait = request.GET.get("what", ""), 0 if "now" in request.GET else 10
    promise = promises.create(id, str, deadline=days, otherwise=late, data=what)
    try:
        return JsonResponse({"answer": promise.get(timeout=wait)})
    except dp.PromiseTimeoutError:
        return JsonResponse({"waiting": id}, status=202, headers={"Retry-After": "1"})
    except (dp.PromiseRejectedError, dp.ValueMismatchError) as error:
        return JsonResponse({"failed": str(error)}, status=409)


@require_http_methods(["GET", "POST"])  # links are opened by programs, too: GET shows
def answer(request: HttpRequest, id: str) -> HttpResponse:
    promise = promises.promise(id)  # without a type: it shows whatever settled it
    if promise.info().terms is None:
        raise Http404
    if request.method == "POST":
        promise.resolve("yes" if "yes" in request.POST else "no")
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render({"info": promise.info()}, request))


ID = "(?P<id>approval-[A-Za-z0-9-]{1,64})$"
urlpatterns = [re_path(f"^ask/{ID}", ask), re_path(f"^answer/{ID}", answer)]
application = get_wsgi_application()
