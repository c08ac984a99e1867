// Shows the OpenAPI document of whoever's key is given. The key stays in this tab.
"use strict";

const STORED = "fumehood-key";
const form = document.getElementById("key-form");
const field = document.getElementById("key");
const state = document.getElementById("state");

// A link may bring the key after `#`, which browsers send to no server.
const brought = new URLSearchParams(location.hash.slice(1)).get("key");
if (brought) {
  sessionStorage.setItem(STORED, brought);
  history.replaceState(null, "", location.pathname);
}

function authorised(request) {
  const key = sessionStorage.getItem(STORED);
  const here = new URL(request.url, location.href).origin === location.origin;
  if (key && here && !request.headers.Authorization) {
    request.headers.Authorization = `Bearer ${key}`;
  }
  return request;
}

async function show() {
  const request = authorised({ url: "/openapi.json", headers: {} });
  const response = await fetch(request.url, { headers: request.headers });
  const spec = await response.json();
  if (!response.ok) {
    state.textContent = spec.message;
    return;
  }
  const tools = Object.values(spec.paths).filter((path) => path.post?.tags?.includes("Agentic")).length;
  state.textContent = sessionStorage.getItem(STORED) || tools ? `${tools} tools` : "enter a key to see its tools";
  SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    filter: true,
    docExpansion: "list",
    requestInterceptor: authorised,
    validatorUrl: null,
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(STORED, field.value.trim());
  show();
});
show();
