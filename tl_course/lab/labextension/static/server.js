// Ask the course's server extension.

// Gives what the server answers at an address below tl-course; with a body it is a POST.
export async function ask(lab, path, body, init = {}) {
  const settings = lab.ServerConnection.makeSettings();
  if (body !== undefined) Object.assign(init, {method: "POST", body: JSON.stringify(body)});
  const address = lab.URLExt.join(settings.baseUrl, "tl-course", path);
  let response;
  try {
    response = await lab.ServerConnection.makeRequest(address, init, settings);
  } catch {
    throw new Error(lab.text("away"));
  }
  let answer = {};
  try { answer = await response.json(); } catch { /* no JSON: the status tells */ }
  if (!response.ok) throw new Error(answer.message || `${response.status} ${response.statusText}`);
  return answer;
}

// What went wrong, as a line to show.
export function trouble(error) {
  const line = document.createElement("p");
  line.setAttribute("role", "alert");
  line.textContent = `⚠ ${error.message}`;
  return line;
}
