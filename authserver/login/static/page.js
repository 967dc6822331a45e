// What pages do better with a script. All of them work without.

// A form is sent once, however often its button is pressed. The button stays enabled: a disabled one is not sent along.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
  });
}

// A page that comes back from the browser's memory can be sent again.
addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// Passwords can be looked at.
for (const button of document.querySelectorAll("button[data-show]")) {
  const field = document.getElementById(button.dataset.show);
  const texts = { password: button.textContent, text: button.dataset.hideText };
  button.hidden = false;
  button.addEventListener("click", () => {
    field.type = field.type === "password" ? "text" : "password";
    button.textContent = texts[field.type];
    button.setAttribute("aria-pressed", String(field.type === "text"));
  });
  field.form.addEventListener("submit", () => {
    field.type = "password";
  });
}

// Times are shown in the time zone of whoever looks.
for (const time of document.querySelectorAll("time[datetime]")) {
  const format = { dateStyle: "medium", timeStyle: "short" };
  time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, format);
}

// An answer to a client goes on its way by itself (response_mode=form_post).
document.querySelector("form[data-auto-submit]")?.requestSubmit();
