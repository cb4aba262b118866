// What Unfold's pages and Django's own widgets leave to a mouse, or without a name, for those who use keys or listen.
"use strict";

const BY_MOUSE_ALONE = "[x-on\\:click]:not(a[href], button, input, select, textarea, summary, label, [tabindex])";

function press(event) {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.currentTarget.click();
}

function makeButton(element) {
  element.tabIndex = 0;
  element.setAttribute("role", "button");
  element.addEventListener("keydown", press);
  // An icon is a word of a font, which says nothing: the menu beside a field is named after the field.
  const label = element.closest(".form-row")?.querySelector("label");
  if (label) element.setAttribute("aria-label", `${label.textContent.trim()} …`);
}

function nameCombobox(selection) {
  const field = selection.closest(".select2-container").previousElementSibling;
  const label = document.querySelector(`label[for="${field?.id}"]`)?.textContent.trim();
  if (!label) return;
  selection.setAttribute("aria-label", label);
  selection.querySelector("[role=textbox]")?.setAttribute("aria-label", label);
}

function complete() {
  document.getElementById("main")?.setAttribute("role", "main");
  document.querySelectorAll(BY_MOUSE_ALONE).forEach(makeButton);
  // The widget for choosing many puts its explanation on a span, which may not have one.
  document.querySelectorAll(".help-tooltip[aria-label]").forEach((help) => help.setAttribute("role", "img"));
  document.querySelectorAll(".select2-selection").forEach(nameCombobox);
}

// After the widgets, which are made at the same event.
window.addEventListener("load", () => setTimeout(complete));
