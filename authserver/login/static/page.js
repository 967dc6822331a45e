// What pages do better with a script. All of them work without. It is no module and in the words of ECMAScript 5, for
// browsers that know neither modules nor anything newer: certification suites use such.
(function () {
  "use strict";

  function each(list, act) {
    Array.prototype.forEach.call(list, act);
  }

  // A form is sent once, however often its button is pressed. The button stays enabled: a disabled one is not sent along.
  each(document.forms, function (form) {
    form.addEventListener("submit", function (event) {
      if (form.getAttribute("data-sent")) {
        event.preventDefault();
        return;
      }
      form.setAttribute("data-sent", "yes");
      form.setAttribute("aria-busy", "true");
    });
  });

  // A page that comes back from the browser's memory can be sent again.
  window.addEventListener("pageshow", function () {
    each(document.forms, function (form) {
      form.removeAttribute("data-sent");
      form.removeAttribute("aria-busy");
    });
  });

  // Passwords can be looked at.
  each(document.querySelectorAll("button[data-show]"), function (button) {
    var field = document.getElementById(button.getAttribute("data-show"));
    var texts = { password: button.textContent, text: button.getAttribute("data-hide-text") };
    button.hidden = false;
    button.addEventListener("click", function () {
      field.type = field.type === "password" ? "text" : "password";
      button.textContent = texts[field.type];
      button.setAttribute("aria-pressed", String(field.type === "text"));
    });
    field.form.addEventListener("submit", function () {
      field.type = "password";
    });
  });

  // Times are shown in the time zone of whoever looks.
  each(document.querySelectorAll("time[datetime]"), function (time) {
    var format = { dateStyle: "medium", timeStyle: "short" };
    time.textContent = new Date(time.getAttribute("datetime")).toLocaleString(document.documentElement.lang, format);
  });

  // The signed-out page goes on when the applications in its frames have heard of it, or have had their time.
  var next = document.querySelector("a[data-go-on]");
  if (next) {
    var gone = false;
    var goOn = function () {
      if (!gone) window.location.replace(next.href);
      gone = true;
    };
    window.addEventListener("load", goOn);
    setTimeout(goOn, 3000);
  }

  // An answer to a client goes on its way by itself (response_mode=form_post).
  var answer = document.querySelector("form[data-auto-submit]");
  if (answer && answer.requestSubmit) {
    answer.requestSubmit();
  } else if (answer) {
    answer.submit();
  }
})();
