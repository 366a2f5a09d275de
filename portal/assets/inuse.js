// Small comforts only: every page reads and works without this file.
"use strict";
(function () {
  var print = document.getElementById("print");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", function () { window.print(); });
  }
  // Paper has nothing to click: what is folded on the screen is open on it, and folded again afterwards.
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.slice.call(document.querySelectorAll("details.unfold:not([open])"));
    opened.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (d) { d.open = false; });
  });
  // A choice in the filter takes effect at once.
  Array.prototype.forEach.call(document.querySelectorAll("form.filter select"), function (select) {
    select.addEventListener("change", function () { select.form.submit(); });
  });
})();
