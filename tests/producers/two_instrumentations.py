"""Calls a model with the client of OpenAI, under two instrumentations at once; runs in .venv-producers."""

import sys

from openai import OpenAI
from openinference.instrumentation import using_user
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

model, ingest, requests, which = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
exporter = OTLPSpanExporter(endpoint=f"{ingest}/v1/traces")
provider = TracerProvider()
# One batch, or a message for each span.
provider.add_span_processor(
    SimpleSpanProcessor(exporter)
    if "alone" in which
    else BatchSpanProcessor(exporter, max_export_batch_size=40)
)
if "openinference" in which:
    OpenInference().instrument(tracer_provider=provider)
if "openllmetry" in which:
    OpenLLMetry().instrument(tracer_provider=provider)
client = OpenAI(base_url=model, api_key="none")
tracer = provider.get_tracer("agent")
for number in range(requests):
    with tracer.start_as_current_span("invoke_agent") as span:
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
        span.set_attribute("gen_ai.request.model", "m-2")
        user = f"user-{number % 7}"
        with using_user(user):
            client.chat.completions.create(
                model="m-2", user=user, messages=[{"role": "user", "content": "hi"}]
            )
provider.shutdown()
