// Asks the browser for a passkey when the form's button is pressed, and sends what
// it answers in the form's place. It asks no server for anything.
"use strict";
(() => {
  const form = document.querySelector("form[data-passkey]");
  const status = document.getElementById("passkey-status");
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const withID = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function ask() {
    const o = JSON.parse(form.dataset.options);
    o.challenge = bytes(o.challenge);
    if (form.dataset.passkey === "create") {
      o.user.id = bytes(o.user.id);
      o.excludeCredentials = withID(o.excludeCredentials);
      return navigator.credentials.create({ publicKey: o });
    }
    o.allowCredentials = withID(o.allowCredentials);
    return navigator.credentials.get({ publicKey: o });
  }

  function encode(made) {
    const r = made.response, response = { clientDataJSON: text(r.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (r[name]) response[name] = text(r[name]);
    }
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response,
      clientExtensionResults: {}, authenticatorAttachment: made.authenticatorAttachment || undefined });
  }

  const words = {
    NotAllowedError: "Nothing was sent: it was cancelled, took too long, or no passkey of this network is on this device.",
    InvalidStateError: "This device has a passkey of yours already.",
    SecurityError: "The browser does not allow passkeys at this address. Tell your administrator.",
  };

  form.addEventListener("submit", async (event) => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    if (!window.PublicKeyCredential) {
      status.textContent = "This browser knows no passkeys.";
      return;
    }
    status.textContent = "Waiting for your device …";
    try {
      form.elements.answer.value = encode(await ask());
      form.requestSubmit();
    } catch (e) {
      status.textContent = words[e.name] || "That did not work (" + e.name + ").";
    }
  });
})();
