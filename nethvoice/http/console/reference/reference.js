"use strict";
// The reference is only read: trying requests is the console's.
const base = location.pathname.replace(/\/reference\/.*$/, "");
Redoc.init(
  `${base}/openapi.json`,
  {
    expandResponses: "200,201,204",
    hideDownloadButton: true,
    jsonSampleExpandLevel: 3,
    pathInMiddlePanel: true,
    scrollYOffset: () => document.querySelector("header").offsetHeight,
    sortPropsAlphabetically: false,
    theme: { typography: { fontFamily: "system-ui, sans-serif", headings: { fontFamily: "system-ui, sans-serif" } } },
  },
  document.getElementById("reference"),
);
