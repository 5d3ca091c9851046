/* The garnish: keys, drafts, folds, focus, theme. Every page works without this file. It sends
   nothing anywhere but the forms that the page already holds. */
(function () {
  "use strict";

  var root = document.documentElement;

  function all(selector, within) {
    return Array.prototype.slice.call((within || document).querySelectorAll(selector));
  }

  function announce(words) {
    var place = document.getElementById("announcement");
    if (place) {
      place.textContent = "";
      // An emptied region has to be seen empty before it speaks again.
      setTimeout(function () { place.textContent = words; }, 50);
    }
  }

  // Storage may be forbidden or full; then there is nothing to remember.
  function remembered(key) {
    try { return localStorage.getItem(key); } catch (_) { return null; }
  }
  function remember(key, value) {
    try {
      if (value) { localStorage.setItem(key, value); } else { localStorage.removeItem(key); }
    } catch (_) { /* as said above */ }
  }

  /* Drafts: what is typed into a form with data-draft outlives a closed tab, until it is sent. */

  function draftKey(field) {
    var form = field.form;
    return form && form.dataset.draft && field.name ? "draft:" + form.dataset.draft + ":" + field.name : null;
  }

  function draftable(form) {
    return all("textarea, input[type=text], input[type=url]", form).filter(draftKey);
  }

  function restoreDrafts(within) {
    all("form[data-draft]", within).forEach(function (form) {
      // A form that came back with errors holds what was typed already.
      if (form.querySelector("[aria-invalid]")) { return; }
      draftable(form).forEach(function (field) {
        var draft = remembered(draftKey(field));
        if (draft && !field.value) { field.value = draft; }
      });
    });
  }

  document.addEventListener("input", function (event) {
    var key = event.target.form && draftKey(event.target);
    if (key) { remember(key, event.target.value === event.target.defaultValue ? "" : event.target.value); }
  });

  function forgetDrafts(form) {
    draftable(form).forEach(function (field) { remember(draftKey(field), ""); });
  }

  // Without htmx the answer is another page. The drafts of a form that is sent wait aside, and go
  // only once a page arrives that does not hold the form with its errors again.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.dataset.draft && !form.hasAttribute("data-hx-post") && !(event.submitter && event.submitter.formNoValidate)) {
      remember("sent", form.dataset.draft);
    }
  });

  function settleSent() {
    var sent = remembered("sent");
    if (!sent) { return; }
    remember("sent", "");
    var form = document.querySelector('form[data-draft="' + sent + '"]');
    if (document.querySelector(".error-page") || (form && form.querySelector("[aria-invalid]"))) { return; }
    if (!document.querySelector('form[action="/logout"]')) { return; } // logged out meanwhile: nothing was taken
    try {
      Object.keys(localStorage).forEach(function (key) {
        if (key.indexOf("draft:" + sent + ":") === 0) { localStorage.removeItem(key); }
      });
    } catch (_) { /* nothing was kept */ }
  }

  /* Folds: comments that were folded stay folded; the last 500 are remembered. */

  var folded = (remembered("folded") || "").split(" ").filter(Boolean);

  all(".comment > article > details").forEach(function (fold) {
    var comment = fold.closest(".comment");
    if (folded.indexOf(comment.id) >= 0 && "#" + comment.id !== location.hash) { fold.open = false; }
  });

  document.addEventListener("toggle", function (event) {
    var comment = event.target.closest && event.target.closest(".comment");
    if (!comment || event.target.parentNode.parentNode !== comment) { return; }
    folded = folded.filter(function (id) { return id !== comment.id; });
    if (!event.target.open) { folded.push(comment.id); }
    remember("folded", folded.slice(-500).join(" "));
  }, true);

  // A link into a folded branch opens it.
  function reveal() {
    var target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (var at = target && target.parentNode; at && at.closest; at = at.parentNode) {
      if (at.tagName === "DETAILS") { at.open = true; }
    }
  }
  window.addEventListener("hashchange", reveal);

  /* The menu closes like a menu. */

  function closeMenu(event) {
    all("details.menu[open]").forEach(function (menu) {
      var escaped = event.key === "Escape";
      if (escaped || !menu.contains(event.target)) {
        menu.open = false;
        if (escaped) { menu.querySelector("summary").focus(); }
      }
    });
  }
  document.addEventListener("click", closeMenu);

  /* Theme: changes at once; the server is told behind it. */

  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (!form.classList.contains("theme") || !event.submitter || !window.fetch) { return; }
    event.preventDefault();
    var theme = event.submitter.value;
    var sent = new URLSearchParams(new FormData(form));
    sent.set("theme", theme);
    fetch(form.action, { method: "POST", body: sent, redirect: "manual" });
    if (theme === "system") { root.removeAttribute("data-theme"); } else { root.setAttribute("data-theme", theme); }
    all("button", form).forEach(function (button) { button.setAttribute("aria-pressed", String(button === event.submitter)); });
    announce("Theme: " + event.submitter.textContent);
  });

  /* Moments are named in the reader's own time zone once somebody points at them. */

  document.addEventListener("mouseover", function (event) {
    var time = event.target.closest && event.target.closest("time[title]:not([data-local])");
    if (!time || !window.Intl) { return; }
    time.setAttribute("data-local", "");
    try {
      time.title = new Intl.DateTimeFormat(undefined, {
        dateStyle: "medium", timeStyle: "short", timeZone: root.dataset.timeZone || undefined
      }).format(new Date(time.dateTime));
    } catch (_) { /* an unknown zone: UTC stays */ }
  });

  /* htmx: where focus goes, and what is said. */

  document.addEventListener("htmx:beforeSwap", function (event) {
    var detail = event.detail;
    // A form that was refused comes back in its own place, not where its result would have gone.
    if (detail.xhr.status === 422 && detail.requestConfig.elt.tagName === "FORM") {
      detail.target = detail.requestConfig.elt;
      detail.swapOverride = "outerHTML";
    }
  });

  document.addEventListener("htmx:afterRequest", function (event) {
    var elt = event.detail.requestConfig && event.detail.requestConfig.elt;
    if (!elt) { return; }
    if (event.detail.failed && event.detail.xhr && event.detail.xhr.status !== 422) {
      announce("That did not work. Please try again.");
    } else if (event.detail.successful && elt.classList.contains("reply")) {
      forgetDrafts(elt);
      elt.remove();
      announce("Your reply is posted.");
    }
  });

  var voted = null;
  document.addEventListener("htmx:beforeRequest", function (event) {
    var form = event.detail.elt;
    voted = form.classList.contains("vote") ? { action: form.getAttribute("action"), had: form.contains(document.activeElement) } : null;
  });

  document.addEventListener("htmx:load", function (event) {
    var arrived = event.detail.elt;
    if (!arrived || !arrived.classList || arrived === document.body) { return; }
    if (arrived.classList.contains("vote") && voted && voted.action === arrived.getAttribute("action")) {
      var button = arrived.querySelector("button");
      if (voted.had) { button.focus(); }
      announce((button.getAttribute("aria-pressed") === "true" ? "Upvoted, " : "Vote taken back, ") + arrived.textContent.trim());
    } else if (arrived.classList.contains("reply")) {
      restoreDrafts(arrived.parentNode);
      arrived.querySelector("textarea").focus();
    } else if (arrived.id === "title-field") {
      // A fetched title is a draft like a typed one.
      var title = arrived.querySelector("input");
      remember(draftKey(title), title.value);
      title.focus();
      announce(arrived.querySelector(".field-error") ? arrived.querySelector(".field-error").textContent : "The title is fetched.");
    } else if (arrived.classList.contains("comment")) {
      arrived.classList.add("arrived");
      var summary = arrived.querySelector("summary");
      if (summary) { summary.focus(); }
    }
  });

  /* Keys. */

  function stops() { return all(".items > .item, .comment").filter(function (stop) { return stop.getClientRects().length; }); }

  function current() { return document.activeElement && document.activeElement.closest(".item, .comment"); }

  function goTo(stop) {
    var target = stop && stop.querySelector("a.title, summary");
    if (target) {
      target.focus({ preventScroll: true });
      stop.scrollIntoView({ block: stop.classList.contains("comment") ? "start" : "nearest" });
    }
  }

  function move(step, wanted) {
    var places = stops().filter(wanted || function () { return true; });
    var here = current();
    var at = places.indexOf(here);
    if (at < 0 && here) {
      // Between two wanted places: the next is the first that follows.
      at = places.filter(function (place) { return here.compareDocumentPosition(place) & 2; }).length - (step > 0 ? 1 : 0);
    } else if (at < 0 && step < 0) {
      return;
    }
    goTo(places[at + step]);
  }

  function own(selector) {
    var here = current() || document.querySelector(".post.item");
    return here && here.querySelector(selector);
  }

  function press(element) { if (element) { element.click(); } }

  var keys = {
    j: ["Next", function () { move(1); }],
    k: ["Previous", function () { move(-1); }],
    o: ["Open the link", function () { press(own("a.title")); }],
    c: ["Go to the comments", function () { press(own(".replies") || document.querySelector('a.skip[href="#comments"]')); }],
    u: ["Upvote, or take it back", function () { press(own(".vote button, .vote a")); }],
    n: ["Next new comment", function () { move(1, function (stop) { return stop.matches(".new, .item:has(.fresh)"); }); }],
    "?": ["These keys", help]
  };

  function help() {
    var open = document.querySelector("dialog");
    if (open) { open.close(); return; }
    var dialog = document.createElement("dialog");
    var heading = dialog.appendChild(document.createElement("h2"));
    heading.textContent = "Keys";
    heading.id = "keys-heading";
    dialog.setAttribute("aria-labelledby", heading.id);
    var table = dialog.appendChild(document.createElement("table"));
    Object.keys(keys).forEach(function (key) {
      var row = table.insertRow();
      row.insertCell().appendChild(document.createElement("kbd")).textContent = key;
      row.insertCell().textContent = keys[key][0];
    });
    var button = dialog.appendChild(document.createElement("button"));
    button.textContent = "Close";
    button.addEventListener("click", function () { dialog.close(); });
    dialog.addEventListener("close", function () { dialog.remove(); });
    document.body.appendChild(dialog);
    dialog.showModal();
  }

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { closeMenu(event); return; }
    if (root.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) { return; }
    if (event.target.closest("input, textarea, select, [contenteditable]")) { return; }
    var key = Object.prototype.hasOwnProperty.call(keys, event.key) && keys[event.key];
    if (key && (event.key === "?" || !document.querySelector("dialog[open]"))) {
      event.preventDefault();
      key[1]();
    }
  });

  // Code that scrolls sideways can be scrolled with keys.
  all(".prose pre").forEach(function (code) { if (code.scrollWidth > code.clientWidth) { code.tabIndex = 0; } });

  settleSent();
  restoreDrafts(document);
  reveal();
  var errors = document.querySelector(".errors");
  if (errors) { errors.focus(); }
})();
