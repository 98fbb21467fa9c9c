"""What is generated from the code: event map, lifecycles, AsyncAPI, OpenAPI, settings, requirements, golden schemas."""
