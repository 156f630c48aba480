// Emissions of a period: what is known and why it may not be all, by scope and source, under one set of potentials; the score beside it, as an
// interval with what moves it. Nothing here is a figure to file while it has doubts.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get } from "../hub.mjs";
import { To, place, turn } from "../place.mjs";
import { Empty, Field, Figure, Seen, Table, Trouble, useRead } from "../ui.mjs";
import { Plain, fine, fixed2, known, percent, t, whole } from "../words.mjs";

const DAY_MS = 86_400_000;
const dayText = (/** @type {number} */ ms) => new Date(ms).toISOString().slice(0, 10);
const tonnes = (/** @type {number|null|undefined} */ value) => (known(value) ? (Math.abs(/** @type {number} */ (value)) < 100 ? fine(Number(/** @type {number} */ (value).toPrecision(4))) : whole(value)) : "–");
const micros = (/** @type {string|undefined} */ text) => (text ? Date.parse(`${text}:00Z`) * 1e3 : null);

/** The period and how it is told, all of it in the address. */
function wanted() {
  const { first, last, gwp, scenario, known_at } = place.value.query;
  const query = new URLSearchParams({ from: first || dayText(Date.now() - 6 * DAY_MS), to: last || dayText(Date.now()), gwp: gwp || "AR5" });
  const at = micros(known_at);
  if (at) query.set("known_at", String(at));
  if (place.value.query.site) query.set("site", place.value.query.site);
  return { query: query.toString(), totals: scenario ? `${query}&scenario=${scenario}` : query.toString(), from: query.get("from") ?? "", to: query.get("to") ?? "", gwp: gwp || "AR5", scenario: scenario ?? "", known_at: known_at ?? "" };
}

/** @param {{ now: ReturnType<typeof wanted> }} properties */
function Choice({ now }) {
  const change = (/** @type {string} */ name) => (/** @type {any} */ event) => turn({ [name]: event.target.value || null });
  return html`<form class="choice" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}><${Field} label=${t("from (UTC)")}><input type="date" value=${now.from} max=${now.to} onChange=${change("first")} /><//>
    <${Field} label=${t("to (UTC)")}><input type="date" value=${now.to} min=${now.from} onChange=${change("last")} /><//>
    <${Field} label=${t("warming potentials")}><select value=${now.gwp} onChange=${change("gwp")}>${["AR4", "AR5", "AR6"].map((name) => html`<option key=${name} value=${name}>${name}, ${t("100 years")}</option>`)}</select><//>
    <${Field} label=${t("factors")}><select value=${now.scenario} onChange=${change("scenario")}><option value="">${t("confirmed only")}</option><option value="as-stated">${t("unconfirmed ones as stated")}</option></select><//>
    <${Field} label=${t("as known at (UTC)")} hint=${t("empty: now")}><input type="datetime-local" value=${now.known_at} onChange=${change("known_at")} /><//></form>`;
}

// said: scope 1; scope 2, location; scope 2, market; scope 3
const SCOPES = ["scope 1", "scope 2, location", "scope 2, market", "scope 3"];
/** @param {{ totals: any }} properties */
function Scopes({ totals }) {
  const figure = (/** @type {string} */ name) => {
    const one = totals.scopes[name];
    if (!one) return html`<${Figure} key=${name} label=${t(name)} value="–" note=${t("no source")} />`;
    const whole_ = known(one.figure_t);
    const note = html`<${Plain}>${tonnes(one.low_t)} – ${tonnes(one.high_t)} t<//> ${whole_ ? "" : t("the part that is known")}`;
    return html`<${Figure} key=${name} label=${t(name)} value=${whole_ ? tonnes(one.figure_t) : `≥ ${tonnes(one.known_t)}`} unit="t CO2e" note=${note} tone=${whole_ ? "" : "uncertain"} />`;
  };
  const doubts = SCOPES.flatMap((name) => (totals.scopes[name]?.doubts ?? []).map((/** @type {string} */ doubt) => [name, doubt]));
  return html`<div class="figures">${SCOPES.filter((name) => totals.scopes[name]).map(figure)}</div>
    <p class="muted">${t("95 % interval; gases are stored, {gwp} is applied here. Scope 2 by location and by market are two answers to one question.", { gwp: totals.gwp })} <${To} path="/verify" query=${{ evidence: totals.id }}>${t("evidence")}<//></p>
    ${doubts.length > 0 && html`<details><summary>${t("{n} reason why this is not all yet|{n} reasons why this is not all yet", { n: doubts.length })}</summary><ul>${doubts.map(([scope, doubt]) => html`<li key=${scope + doubt}><small class="muted">${t(scope)}</small> <${Plain}>${doubt}<//></li>`)}</ul></details>`}`;
}

// said: fuel; flare; vent; pneumatic; fugitive; compressor seal; tank; purchased power, location; purchased power, market; freight; sold products
const SOURCES = () => [
  { name: "source", title: t("source"), value: (/** @type {any} */ one) => one.source, show: (/** @type {any} */ one) => html`<${Plain}>${one.source}<//>` },
  { name: "category", title: t("category"), value: (/** @type {any} */ one) => one.category, show: (/** @type {any} */ one) => t(one.category) },
  { name: "asset", title: t("asset"), wide: true, value: (/** @type {any} */ one) => one.asset, show: (/** @type {any} */ one) => html`<${Plain}>${one.asset}<//>` },
  { name: "co2e", title: "CO2e", unit: "t", number: true, value: (/** @type {any} */ one) => one.known_t, show: (/** @type {any} */ one) => html`<${Plain}>${one.not_estimated.length ? "≥ " : ""}${tonnes(one.known_t)}<//>` },
  { name: "co2", title: "CO2", unit: "kg", number: true, wide: true, value: (/** @type {any} */ one) => one.gases_kg.co2_kg, show: (/** @type {any} */ one) => html`<${Plain}>${tonnes(one.gases_kg.co2_kg)}<//>` },
  { name: "ch4", title: "CH4", unit: "kg", number: true, wide: true, value: (/** @type {any} */ one) => one.gases_kg.ch4_kg, show: (/** @type {any} */ one) => html`<${Plain}>${tonnes(one.gases_kg.ch4_kg)}<//>` },
  { name: "quality", title: t("quality"), number: true, value: (/** @type {any} */ one) => one.quality, show: (/** @type {any} */ one) => html`<${Plain}>${fixed2(one.quality)}<//>` },
  { name: "ogmp", title: "OGMP", number: true, wide: true, value: (/** @type {any} */ one) => one.ogmp_level, show: (/** @type {any} */ one) => html`<${Plain}>L${one.ogmp_level}<//>` },
  { name: "missing", title: t("hours missing"), number: true, value: (/** @type {any} */ one) => one.missing_hours, show: (/** @type {any} */ one) => html`<${Plain} class=${one.missing_hours ? "uncertain" : ""}>${one.missing_hours}<//>` },
  { name: "filled", title: t("hours filled"), number: true, wide: true, value: (/** @type {any} */ one) => one.filled_hours },
];

const HOURS = { m: "measured", b: "bridged", x: "missing", o: "running", ".": "ahead" };
// said: measured, bridged, missing, running, ahead
/** Twenty-four hours of a source, one mark each. @param {{ bar: string, label: string }} properties */
function Bar({ bar, label }) {
  const counts = [...bar].reduce((found, mark) => ({ ...found, [mark]: (found[mark] ?? 0) + 1 }), /** @type {Record<string, number>} */ ({}));
  const said = Object.entries(counts).map(([mark, n]) => `${n} ${t(HOURS[/** @type {keyof typeof HOURS} */ (mark)] ?? mark)}`).join(", ");
  return html`<svg class="hours" viewBox="0 0 ${bar.length * 4} 10" role="img" aria-label=${`${label}: ${said}`}><title>${said}</title>${[...bar].map((mark, at) => html`<rect key=${at} class=${`hour ${HOURS[/** @type {keyof typeof HOURS} */ (mark)] ?? ""}`} x=${at * 4} y=${mark === "x" ? 6 : mark === "." ? 8 : 1} width="3" height=${mark === "x" ? 4 : mark === "." ? 2 : 9} />`)}</svg>`;
}

/** @param {{ days: any[] }} properties */
function Hours({ days }) {
  const last = days.filter((one) => one.records.length).at(-1);
  if (!last) return null;
  const title = t("Hours of {day}", { day: last.day });
  const metered = last.records.filter((/** @type {any} */ one) => one.bar);
  return html`<section aria-label=${title}><h2>${title} <small><${To} path="/verify" query=${{ evidence: last.id }}>${t("evidence")}<//></small></h2><div class="scroll" tabindex="0" role="region" aria-label=${title}><table><thead><tr><th scope="col">${t("source")}</th><th scope="col">${t("hours")}</th><th scope="col" class="number">${t("activity")}</th><th scope="col">${t("excluded")}</th></tr></thead>
    <tbody>${metered.map((/** @type {any} */ one) => html`<tr key=${one.source + one.category}><th scope="row"><${Plain}>${one.source}<//></th><td><${Bar} bar=${one.bar} label=${one.source} /></td><td class="number"><${Plain}>${tonnes(one.activity.value)} ${one.activity.unit}<//></td>
      <td><${Plain}>${Object.entries(one.excluded ?? {}).filter(([, n]) => n).map(([why, n]) => `${n} ${why}`).join(", ") || "–"}<//></td></tr>`)}</tbody></table></div></section>`;
}

// said: ghg_methane, air, water, spills_ecology, safety, community_local_content, business_ethics, governance_data_quality
const topic = (/** @type {string} */ name) => t(name).replaceAll("_", " ");
/** @param {{ score: any }} properties */
function Score({ score }) {
  const at = (/** @type {number} */ value) => Math.min(100, Math.max(0, value));
  const label = t("score between {low} and {high}", { low: fixed2(score.low), high: fixed2(score.high) });
  return html`<section aria-label=${t("Score")}><h2>${t("Score")} <small>${t("{share} of the weight is measured", { share: percent(score.coverage) })} <${To} path="/verify" query=${{ evidence: score.id }}>${t("evidence")}<//></small></h2>
    <div class="figures"><${Figure} label=${t("score, 100 is best")} value=${known(score.value) ? fixed2(score.value) : "–"} note=${html`<${Plain}>${fixed2(score.low)} – ${fixed2(score.high)}<//>`} /></div>
    <svg class="gauge" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${label}><rect class="scale" x="0" y="4" width="100" height="2" /><rect class="span" x=${at(score.low)} y="2" width=${Math.max(0.5, at(score.high) - at(score.low))} height="6" />${known(score.value) && html`<rect class="mark" x=${at(score.value) - 1} y="0" width="2" height="10" />`}</svg>
    ${!known(score.value) && html`<p class="muted">${t("Below 70 % of the weight there is no single number.")}</p>`}
    <div class="scroll" tabindex="0" role="region" aria-label=${t("Contributions")}><table><caption>${t("What moves it away from 50; the rows add up")}</caption><thead><tr><th scope="col">${t("topic")}</th><th scope="col" class="number">${t("weight")}</th><th scope="col" class="number">${t("points")}</th><th scope="col">${t("capped by")}</th></tr></thead>
      <tbody>${score.contributions.map((/** @type {any} */ one) => html`<tr key=${one.topic}><th scope="row">${topic(one.topic)}</th><td class="number"><${Plain}>${percent(one.weight)}<//></td><td class="number"><${Plain}>${known(one.points) ? fixed2(one.points) : `${fixed2(one.low)} … ${fixed2(one.high)}`}<//></td><td><${Plain}>${one.capped_by.join(", ") || "–"}<//></td></tr>`)}</tbody></table></div>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("Figures behind it")}><table><caption>${t("Figures behind it")}</caption><thead><tr><th scope="col">${t("figure")}</th><th scope="col" class="number">${t("value")}</th><th scope="col" class="number">${t("best")}</th><th scope="col" class="number">${t("worst")}</th></tr></thead>
      <tbody>${score.metrics.map((/** @type {any} */ one) => html`<tr key=${one.name}><th scope="row">${one.name} <small class="muted"><${Plain}>${one.unit}<//></small></th><td class="number">${known(one.value) ? html`<${Plain}>${fine(one.value)}<//>` : html`<small class="muted"><${Plain}>${one.why}<//></small>`}</td><td class="number"><${Plain}>${fine(one.best)}<//></td><td class="number"><${Plain}>${fine(one.worst)}<//></td></tr>`)}</tbody></table></div></section>`;
}

/** @param {{ found: any }} properties */
function Intensity({ found }) {
  return html`<section aria-label=${t("Intensity, water, safety")}><h2>${t("Intensity, water, safety")}</h2><div class="scroll" tabindex="0" role="region" aria-label=${t("Intensity, water, safety")}><table><thead><tr><th scope="col">${t("figure")}</th><th scope="col" class="number">${t("value")}</th></tr></thead>
    <tbody>${found.figures.map((/** @type {any} */ one) => html`<tr key=${one.name}><th scope="row">${one.name.replaceAll("_", " ")} <small class="muted"><${Plain}>${one.unit}<//></small></th><td class="number">${known(one.value) ? html`<${Plain}>${fine(one.value)}<//>` : html`<small class="muted"><${Plain}>${one.why}<//></small>`}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {{ found: any }} properties */
function Leaks({ found }) {
  if (!found.sections.length) return null;
  return html`<section aria-label=${t("Where to look for leaks")}><h2>${t("Where to look for leaks")} <small>${t("a hint, never an entry of the inventory")}</small></h2><ul>${found.sections.map((/** @type {any} */ one) => html`<li key=${one.section}><strong><${Plain}>${one.section}<//></strong> ${one.why ? html`<small class="muted"><${Plain}>${one.why}<//></small>` : html`${t("probability {share}", { share: percent(one.probability) })} <${Plain}>${one.work_order ?? ""}<//>`}</li>`)}</ul></section>`;
}

/** @param {{ now: ReturnType<typeof wanted> }} properties */
function Scored({ now }) {
  const { value, error } = useRead(() => get(`/v1/esg/score?${now.query}`), [now.query], 60_000);
  return value ? html`<${Score} score=${value} />` : html`<${Trouble} error=${error} />`;
}

/** What is asked for once it is opened. @param {{ now: ReturnType<typeof wanted> }} properties */
function Besides({ now }) {
  const [open, turnTo] = useState(false);
  return html`<details onToggle=${(/** @type {any} */ event) => turnTo(event.target.open)}><summary>${t("Intensity, water, safety")}, ${t("Where to look for leaks")}</summary>${open && html`<${Figures} now=${now} />`}</details>`;
}

/** @param {{ now: ReturnType<typeof wanted> }} properties */
function Figures({ now }) {
  const intensity = useRead(() => get(`/v1/esg/intensity?${now.query.replace(/&?gwp=[^&]*/, "")}`), [now.query]);
  const leaks = useRead(() => get(`/v1/esg/leaks?from=${now.from}&to=${now.to}`), [now.query]);
  return html`<div class="halves">${intensity.value && html`<${Intensity} found=${intensity.value} />`}${leaks.value && html`<${Leaks} found=${leaks.value} />`}</div>`;
}

/** Totals after the days they rest on, which the hub makes when it is asked. @param {{ now: ReturnType<typeof wanted>, days: any[] }} properties */
function Whole({ now, days }) {
  const { value, error } = useRead(() => get(`/v1/esg/totals?${now.totals}`), [now.totals, days]);
  return html`<${Trouble} error=${error} />${value ? html`<${Scopes} totals=${value} /><${Table} name="sources" title=${t("Sources")} columns=${SOURCES()} rows=${value.sources} id=${(/** @type {any} */ one) => `${one.source} ${one.category}`} sort="-co2e" height=${360} empty=${t("No source has anything in this period.")} />
    <${Hours} days=${days} /><${Seen} title=${t("Score")} height=${300}><${Scored} now=${now} /><//><${Besides} now=${now} />` : !error && html`<div class="skeleton"></div>`}`;
}

export function Page() {
  const now = wanted();
  const { value, error } = useRead(() => get(`/v1/esg/emissions?${now.query}`), [now.query], 60_000);
  return html`<h1>${t("Emissions")} <small class="muted"><${Plain}>${now.from} – ${now.to}<//></small></h1><${Choice} now=${now} />
    ${error?.slug === "not-found" ? html`<${Empty} next=${t("Hand one in with PUT /v1/esg/inventory; cloud/esg/examples has one to begin with.")}>${t("There is no inventory of sources yet.")}<//>` : html`<${Trouble} error=${error} />`}
    ${value ? html`<${Whole} now=${now} days=${value.days} />` : !error && html`<div class="skeleton"></div>`}`;
}
