"use strict";
{
  const QUESTIONS = ["photorealism", "faithfulness"];
  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("data").textContent);
  const results = new Map(data.results.map((result) => [result.id, result]));

  // ---- state: one participant's ratings, saved in the browser after every change

  const STORAGE_KEY = `fastphoto-study-${data.study}`;
  const randomWords = (count) => crypto.getRandomValues(new Uint32Array(count));
  const shuffled = (items) => {
    for (let last = items.length - 1; last > 0; last--) {
      const other = Math.floor((randomWords(1)[0] / 2 ** 32) * (last + 1));
      [items[last], items[other]] = [items[other], items[last]];
    }
    return items;
  };
  const newState = () => ({
    participant: [...randomWords(2)].map((word) => word.toString(16).padStart(8, "0")).join(""),
    order: shuffled([...results.keys()]),
    answers: {}, // id of a result -> {question: rating}
    at: 0, // index in `order` of the result that is shown
  });
  const savedState = () => {
    try {
      const saved = JSON.parse(localStorage.getItem(STORAGE_KEY));
      const whole = saved.order.length === results.size && saved.order.every((id) => results.has(id));
      return whole && saved.participant && saved.answers && Number.isInteger(saved.at) ? saved : null;
    } catch {
      return null;
    }
  };
  const saveState = () => {
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(state));
      return true;
    } catch {
      return false;
    }
  };

  let state = savedState() || newState();
  let current = QUESTIONS[0]; // the question that the keys 1 to 4 answer

  const answersTo = (id) => state.answers[id] || {};
  const isComplete = (id) => QUESTIONS.every((question) => answersTo(id)[question]);
  const completeCount = () => state.order.filter(isComplete).length;

  // ---- the three sections

  const showSection = (shown) => {
    for (const section of ["welcome", "rating", "end"]) element(section).hidden = section !== shown;
    scrollTo(0, 0);
  };

  const markQuestion = (question) => {
    current = question;
    for (const name of QUESTIONS) element(name).classList.toggle("current", name === question);
  };

  const labelNextButton = () => {
    element("next").textContent = isComplete(state.order[state.at]) ? "Next" : "Skip";
  };

  const showWelcome = () => {
    const count = completeCount();
    element("start").textContent = count ? `Continue (${count} of ${results.size} rated)` : "Start";
    element("storage-warning").hidden = saveState();
    showSection("welcome");
  };

  const showResult = () => {
    if (state.at >= state.order.length) return showEnd();
    const id = state.order[state.at];
    for (const role of ["result", "style", "content"]) element(role).src = data.pictures[results.get(id)[role]];
    element("form").reset();
    for (const [question, value] of Object.entries(answersTo(id)))
      element("form").querySelector(`[name="${question}"][value="${value}"]`).checked = true;
    element("position").textContent = `${state.at + 1} of ${results.size}`;
    element("bar").value = state.at;
    element("back").disabled = state.at === 0;
    markQuestion(QUESTIONS.find((question) => !answersTo(id)[question]) || QUESTIONS[0]);
    labelNextButton();
    showSection("rating");
  };

  const showEnd = () => {
    const rated = completeCount();
    const open = results.size - rated;
    element("summary").textContent = open
      ? `You rated ${rated} of ${results.size} results. This is already useful; you may also rate the others.`
      : `You rated all ${results.size} results.`;
    element("resume").textContent = open ? "Continue rating" : "Review your ratings";
    element("text").value = JSON.stringify(
      {
        study: data.study,
        participant: state.participant,
        answers: state.order.filter((id) => state.answers[id]).map((id) => ({ image: id, ...state.answers[id] })),
      },
      null,
      1,
    );
    showSection("end");
  };

  const goTo = (index) => {
    state.at = index;
    saveState();
    showResult();
    element("rating").focus({ preventScroll: true }); // otherwise Enter would press the last button again
  };

  const setAnswer = (question, value) => {
    const id = state.order[state.at];
    state.answers[id] = { ...answersTo(id), [question]: Number(value) };
    saveState();
    markQuestion(QUESTIONS.find((name) => !answersTo(id)[name]) || QUESTIONS.at(-1));
    labelNextButton();
  };

  // ---- buttons and keys

  element("start").addEventListener("click", () => goTo(state.at));
  element("back").addEventListener("click", () => goTo(state.at - 1));
  element("finish").addEventListener("click", showEnd);
  element("resume").addEventListener("click", () => {
    const firstOpen = state.order.findIndex((id) => !isComplete(id));
    goTo(firstOpen < 0 ? 0 : firstOpen);
  });
  element("form").addEventListener("submit", (event) => {
    event.preventDefault();
    goTo(state.at + 1);
  });
  element("form").addEventListener("change", (event) => setAnswer(event.target.name, event.target.value));
  for (const question of QUESTIONS) element(question).addEventListener("focusin", () => markQuestion(question));

  document.addEventListener("keydown", (event) => {
    const ignored = element("rating").hidden || document.querySelector("dialog[open]") || event.repeat;
    if (ignored || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-4]$/.test(event.key)) {
      element("form").querySelector(`[name="${current}"][value="${event.key}"]`).checked = true;
      setAnswer(current, event.key);
    } else if (event.key === "Enter" && !event.target.closest("button")) {
      event.preventDefault(); // Enter pressed once too often must not skip a result; only the button skips
      if (isComplete(state.order[state.at])) element("form").requestSubmit();
    }
  });

  element("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([element("text").value], { type: "application/json" }));
    link.download = `answers-${state.participant}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000); // by then the browser has read it
  });
  element("copy").addEventListener("click", async () => {
    element("text").select();
    try {
      await navigator.clipboard.writeText(element("text").value);
    } catch {
      document.execCommand("copy"); // some browsers give no clipboard to pages that were opened from a disk
    }
    element("copy").textContent = "Copied";
  });
  element("another").addEventListener("click", () => {
    if (!confirm("Have you saved your answers? They will now be deleted from this browser.")) return;
    state = newState();
    element("copy").textContent = "Copy text";
    showWelcome();
  });
  addEventListener("beforeunload", (event) => {
    if (completeCount() && !saveState()) event.preventDefault();
  });

  showWelcome();
}
