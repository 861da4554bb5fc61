// Behind a proxy, the addresses of the other sites on this machine lead nowhere.
if (!["127.0.0.1", "localhost", "[::1]"].includes(location.hostname)) {
  document.querySelector(".site-nav")?.remove();
}
// Swagger UI on the description of this service. Nothing is sent elsewhere: no validator, no examples
// service; the API key stays in this page's memory.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
  // Links to operations would lie inside buttons, which a keyboard or a reader cannot tell apart.
  deepLinking: false,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  // Numbers of the usual theme are hard to read on its ground.
  syntaxHighlight: { activated: true, theme: "arta" },
  requestSnippetsEnabled: true,
  requestSnippets: {
    generators: { curl_bash: { title: "curl", syntax: "bash" } },
    defaultExpanded: true,
  },
});
