"use strict";
// Logging in happens in the page: /testauth gives the shared secret, and every later request carries
// the two headers that the API asks for. The key lives as long as the tab.
(() => {
  const STORE = "nethvoice-console";
  const base = location.pathname.replace(/\/ui\/.*$/, "");
  const element = (id) => document.getElementById(id);
  let credentials = JSON.parse(sessionStorage.getItem(STORE) || "null");

  const console_ = SwaggerUIBundle({
    url: `${base}/openapi.json`,
    dom_id: "#swagger-ui",
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    persistAuthorization: false,
    presets: [SwaggerUIBundle.presets.apis],
    requestInterceptor: (request) => {
      if (credentials && new URL(request.url, location.href).origin === location.origin) {
        request.headers.User = credentials.user;
        request.headers.Secretkey = credentials.key;
      }
      return request;
    },
    onComplete: () => authorize(),
  });

  function authorize() {
    if (!credentials) return;
    console_.preauthorizeApiKey("User", credentials.user);
    console_.preauthorizeApiKey("Secretkey", credentials.key);
  }

  function show(message = "") {
    const inside = credentials !== null;
    element("who").hidden = !inside;
    element("who").textContent = inside ? `logged in as ${credentials.user}` : "";
    element("leave").hidden = !inside;
    element("enter").hidden = inside;
    for (const label of document.querySelectorAll("#login label")) label.hidden = inside;
    for (const input of document.querySelectorAll("#login input")) input.required = !inside;
    element("message").textContent = message;
  }

  async function logIn(user, password) {
    const answer = await fetch(`${base}/testauth`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username: user, password }),
    });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(problem.detail || `The service answered ${answer.status}`);
    }
    const secret = (await answer.json()).result;
    return { user, key: sha1(user + sha1(password) + secret) };
  }

  element("login").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      credentials = await logIn(element("user").value, element("password").value);
      sessionStorage.setItem(STORE, JSON.stringify(credentials));
      element("password").value = "";
      authorize();
      show();
    } catch (error) {
      credentials = null;
      show(error.message);
    }
  });

  element("leave").addEventListener("click", () => {
    sessionStorage.removeItem(STORE);
    credentials = null;
    console_.authActions.logout(["User", "Secretkey"]);
    show();
  });

  show();
})();
